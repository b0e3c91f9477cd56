"""Stored data over versions: what an older one left is brought forward, what a newer one left is refused.

tests/support/versions/ has what landed versions stored, as their own code wrote it.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from bson import ObjectId, json_util
from pymongo.database import Database

from accounting import database as books_module
from accounting.books import Books
from accounting.database import BooksDatabase, BooksError
from accounting.entries import Entry
from accounting.outbox import Outbox
from commands.checks.database import Database as Checked
from commands.checks.database import result_indexes
from commands.checks.postgres import tables
from commands.checks.stock import books as check_books
from commands.checks.stock import rights
from contracts import BatchKey, ConfigurationError
from contracts.stock import Client, Void
from pipelines.ecommerce.job import prepare_database
from pipelines.stock.job import open_database
from pipelines.stock.writer import StockWriter
from settings import load
from sinks.ecommerce import schema
from sinks.health.indexes import ensure_indexes
from sinks.health.versions import require_known_results
from sinks.stock import ledger as ledger_module
from tests.support.documents import ROOT
from tests.support.stock_database import take_batch
from tests.support.stock_events import FORMULAS, row, sale
from tests.support.stock_server import FixedClock

_STORED = ROOT / "tests" / "support" / "versions"
_NEWER = "is of version 2, and this program knows versions up to 1: a newer one has written there"


@pytest.fixture
def books(tmp_path: Path) -> BooksDatabase:
    """The accountant's file of version 1."""
    with sqlite3.connect(tmp_path / "books.db") as made:
        made.executescript((_STORED / "books_1.sql").read_text(encoding="utf-8"))
    made.close()
    return BooksDatabase(tmp_path / "books.db")


@pytest.fixture
def events(events_dsn: str) -> str:
    """The e-commerce database of version 1."""
    with psycopg.connect(events_dsn) as made:
        made.execute((_STORED / "events_1.sql").read_text(encoding="utf-8"))
    return events_dsn


@pytest.fixture
def stock(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The stock database of version 1."""
    stored = json_util.loads((_STORED / "stock_1.json").read_text(encoding="utf-8"))
    for name, documents in stored.items():
        if documents:
            database[name].insert_many(documents)
    return database


def test_the_accountants_file_goes_on_and_is_brought_forward(
    books: BooksDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one transaction, whatever fails; a new file is made the same way; a newer one is refused."""
    books.prepare()
    assert [message.key for message in Outbox(books).waiting(9)] == ["I1"]
    # Version 2 has corrections, also of what was there before.
    moment = datetime(2026, 3, 2, tzinfo=timezone.utc)
    entries: list[Entry] = [Client("C2", "New", None, None, 0, ""), Void("V1", "I1", moment)]
    assert [verdict.state for verdict in Books(books).save(entries)] == ["accepted"] * 2
    step = "ALTER TABLE clients ADD COLUMN city TEXT;\nUPDATE clients SET city = 'Bonn'"
    ours = books_module._MIGRATIONS
    monkeypatch.setattr(books_module, "_MIGRATIONS", (*ours, f"{step};\nbroken"))
    with pytest.raises(BooksError):
        books.prepare()
    monkeypatch.setattr(books_module, "_MIGRATIONS", (*ours, step))
    new = BooksDatabase(books.path.with_name("new.db"))
    for file in (books, books, new):
        file.prepare()
        with file.read() as connection:
            assert connection.execute("PRAGMA user_version").fetchone()[0] == 3
            found = [city for (city,) in connection.execute("SELECT city FROM clients").fetchall()]
    with books.read() as connection:
        found = [city for (city,) in connection.execute("SELECT city FROM clients").fetchall()]
    assert found == ["Bonn", "Bonn"]
    monkeypatch.setattr(books_module, "_MIGRATIONS", ours)
    before = books.path.read_bytes()
    newer = _NEWER.replace("2,", "3,").replace("to 1", "to 2")
    with pytest.raises(BooksError, match=newer) as raised:
        books.prepare()
    assert "SQLITE_DB_PATH" in str(raised.value)
    settings = load(env_file=None, sqlite_db_path=books.path, accountant_password="long enough")  # noqa: S106
    assert (check_books(settings).status, newer in check_books(settings).detail) == ("failed", True)
    assert books.path.read_bytes() == before


def test_the_events_go_on_and_are_brought_forward(events: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the transaction of the start; a version that is not known ends start and check in one sentence."""
    settings = load(env_file=None, postgres_dsn=events, postgres_wait_seconds=0)
    prepare_database(settings)
    with psycopg.connect(events, autocommit=True) as connection:
        assert schema.known_version(connection) == 1
        step = f"ALTER TABLE {schema.EVENTS} ADD COLUMN shop TEXT; UPDATE {schema.EVENTS} SET shop = 'one'"
        monkeypatch.setattr(schema, "_MIGRATIONS", (f"{step}; broken",))
        with pytest.raises(psycopg.errors.SyntaxError):
            prepare_database(settings)
        assert schema.known_version(connection) == 1
        monkeypatch.setattr(schema, "_MIGRATIONS", (step,))
        for _ in range(2):
            prepare_database(settings)
            assert schema.known_version(connection) == 2
        counted = f"SELECT count(*), count(shop) FROM {schema.EVENTS}"
        assert connection.execute(counted).fetchone() == (3, 3)
        monkeypatch.setattr(schema, "_MIGRATIONS", ())
        with pytest.raises(ConfigurationError, match=_NEWER) as raised:
            prepare_database(settings)
        assert "POSTGRES_DSN" in str(raised.value)
        with pytest.raises(ConfigurationError, match=_NEWER):
            tables(settings)
        connection.execute(f"COMMENT ON TABLE {schema.LEDGER} IS 'what an administrator wrote'")
        assert schema.known_version(connection) == 1


def _writer(database: Database[dict[str, Any]]) -> StockWriter:
    writer = StockWriter(database, FORMULAS, FixedClock())
    writer.take_over()
    return writer


def test_the_stock_database_goes_on_and_is_brought_forward(
    stock: Database[dict[str, Any]], mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch comes again, another is new; a migration that was interrupted is called again."""
    writer = _writer(stock)
    for number, event in ((1, sale("I3", P2=1)), (2, sale("I4", P1=5))):
        take_batch(writer, BatchKey("q", number), [row(event, 100 + number)])
    assert writer.recount(lambda _step: None) == []
    assert {total["_id"]: total["units"] for total in stock["product_totals"].find()} == {"P1": 8, "P2": 4}
    calls: list[str] = []

    def step(database: Database[dict[str, Any]]) -> None:
        calls.append(database.name)
        if len(calls) == 1:
            raise KeyboardInterrupt
        database["product_totals"].update_many({}, {"$set": {"shop": "one"}})

    monkeypatch.setattr(ledger_module, "MIGRATIONS", (step,))
    with pytest.raises(KeyboardInterrupt):
        _writer(stock)
    for _ in range(2):
        _writer(stock)
    assert calls == [stock.name] * 2
    assert stock["product_totals"].count_documents({"shop": "one"}) == 2
    monkeypatch.setattr(ledger_module, "MIGRATIONS", ())
    before = stock["stock_ledger"].find_one()
    settings = load(env_file=None, mongo_uri=mongo_uri, stock_db_name=stock.name)
    for refused in (lambda: open_database(settings), lambda: rights(Checked.open(settings))):
        with pytest.raises(ConfigurationError, match=_NEWER) as raised:
            refused()
        assert "STOCK_DB_NAME" in str(raised.value)
    with pytest.raises(ConfigurationError, match=_NEWER):
        _writer(stock)
    assert stock["stock_ledger"].find_one() == before


def test_results_of_a_newer_program_are_left_alone(
    database: Database[dict[str, Any]], mongo_uri: str
) -> None:
    """The newest tells, and one without a version is of the first; a new collection has none."""
    target = database["analytics"]
    require_known_results(target)
    ensure_indexes(target)
    now = datetime.now(timezone.utc)
    for days, metadata in ((90, None), (91, {"sparkVersion": "4"}), (92, {"schemaVersion": 1})):
        key = {"userId": ObjectId(), "timeRange": "7day", "metricType": "steps"}
        target.insert_one({**key, "expiresAt": now + timedelta(days=days), "metadata": metadata})
        require_known_results(target)
    target.update_one({"metadata.schemaVersion": 1}, {"$set": {"metadata.schemaVersion": 2}})
    settings = load(env_file=None, mongo_uri=mongo_uri, mongo_db_name=database.name)
    for refused in (lambda: require_known_results(target), lambda: result_indexes(Checked.open(settings))):
        with pytest.raises(ConfigurationError, match=_NEWER) as raised:
            refused()
        assert "ANALYTICS_COLLECTION" in str(raised.value)
