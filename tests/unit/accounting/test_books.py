"""The accountant's SQLite file: one transaction with the outbox, several sessions, history again."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from accounting import database as database_module
from accounting.books import ACCEPTED, ALREADY_THERE, REJECTED, Books
from accounting.database import BooksDatabase, BooksError
from accounting.entries import Entry
from accounting.outbox import FAILED, SENT, WAITING, Outbox
from contracts.stock import Client, Product, Sale

_NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def sale(invoice_id: str = "I1", amount: int = 1250, *items: tuple[str, int]) -> Sale:
    """An invoice."""
    return Sale(invoice_id, "C1", _NOW, amount, items or (("P1", 2),))


def product(name: str = "Tea") -> Product:
    """Always the same product but for its name."""
    return Product("P1", name, None, 3, 110, 290, None, date(2026, 5, 1), None, order="")


@pytest.fixture
def file(tmp_path: Path) -> BooksDatabase:
    """An empty file."""
    made = BooksDatabase(tmp_path / "deep" / "books.db")
    made.prepare()
    return made


def _books(file: BooksDatabase, now: datetime = _NOW) -> Books:
    return Books(file, now=lambda: now)


def _waiting(file: BooksDatabase) -> list[Any]:
    return [json.loads(message.payload) for message in Outbox(file).waiting(100)]


def test_an_entry_is_stored_with_its_event(file: BooksDatabase) -> None:
    """In the order of entry, under the key that makes events belong together."""
    entries: list[Entry] = [product(), Client("C1", "Shop", None, None, 500, order=""), sale()]
    assert [verdict.state for verdict in _books(file).save(entries)] == [ACCEPTED] * 3
    assert [(message.kind, message.key) for message in Outbox(file).waiting(9)] == [
        ("inventory", "P1"),
        ("clients", "C1"),
        ("sales", "I1"),
    ]
    assert _waiting(file)[2]["items"] == [{"product_id": "P1", "quantity": 2}]
    [stored] = _books(file).products()
    assert (stored.name, stored.expiry_date) == ("Tea", date(2026, 5, 1))
    assert _books(file).clients()[0].opening == 500


def test_the_same_entry_again_is_there_already(file: BooksDatabase) -> None:
    """Nothing is sent for it, in whatever order its items stand."""
    items = (("P1", 1), ("P2", 2))
    _books(file).save([sale("I1", 5, *items), product()])
    again = _books(file).save([sale("I1", 5, *reversed(items)), product()])
    assert [verdict.state for verdict in again] == [ALREADY_THERE] * 2
    assert len(_waiting(file)) == 2


def test_an_invoice_is_never_changed(file: BooksDatabase) -> None:
    """Other content under its number is rejected, with the number; the rest is stored."""
    _books(file).save([sale("I1", 5)])
    first, second = _books(file).save([sale("I1", 6), sale("I2", 6)])
    assert (first.state, first.reason) == (REJECTED, "invoice_id I1 is there already, with other content.")
    assert second.state == ACCEPTED
    assert [event["total_amount"] for event in _waiting(file)] == [0.05, 0.06]


def test_a_later_change_is_newer_even_within_a_millisecond(file: BooksDatabase) -> None:
    """`updated_at` rises with each change of a record, whatever the clock does."""
    for name in ("a", "b", "c"):
        _books(file).save([product(name)])
    times = [event["updated_at"] for event in _waiting(file)]
    assert times == sorted(set(times))
    assert _books(file).products()[0].name == "c"


def test_several_sessions_lose_nothing(file: BooksDatabase) -> None:
    """Four writers at once, each invoice offered by two of them: each is stored and queued once."""
    verdicts: list[str] = []

    def write(first: int) -> None:
        for number in range(first, first + 50):
            verdicts.extend(verdict.state for verdict in _books(file).save([sale(f"I{number}")]))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 0, 50, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(verdicts) == [ACCEPTED] * 100 + [ALREADY_THERE] * 100
    assert len({message.key for message in Outbox(file).waiting(500)}) == 100
    assert Outbox(file).state().counts[WAITING] == 100


def test_a_process_that_dies_leaves_an_invoice_with_its_event_or_neither(file: BooksDatabase) -> None:
    """kill -9 while it saves without pause: sales, items, events and outbox agree."""
    script = f"""
        from pathlib import Path
        from accounting.books import Books
        from accounting.database import BooksDatabase
        from tests.unit.accounting.test_books import sale
        books = Books(BooksDatabase(Path({str(file.path)!r})))
        for number in range(100_000):
            books.save([sale(f"I{{number}}")])
            if number == 20:
                print("going", flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    with file.read() as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("sales", "sale_items", "events", "outbox")
        ]
    assert counts[0] > 20
    assert len(set(counts)) == 1, counts


def test_history_is_queued_again_by_the_day_of_entry(file: BooksDatabase) -> None:
    """As new rows for the same events, in their old order; what still waits is not queued twice."""
    outbox = Outbox(file)
    for day, invoice in ((1, "I1"), (2, "I2"), (3, "I3")):
        _books(file, _NOW.replace(day=day)).save([sale(invoice)])
    outbox.settle([1, 2], {}, None)
    assert outbox.count_between(date(2026, 3, 2), None) == 2
    assert outbox.resend(date(2026, 3, 2), None) == 1
    assert [message.key for message in outbox.waiting(9)] == ["I3", "I2"]
    outbox.settle([3, 4], {}, None)
    assert outbox.resend(None, date(2026, 3, 2)) == 2
    outbox.settle([5, 6], {}, None)
    assert outbox.resend(None, None) == 3
    assert [message.key for message in outbox.waiting(9)] == ["I1", "I2", "I3"]
    assert outbox.state().counts == {WAITING: 3, SENT: 6, FAILED: 0}


def test_the_outbox_tells_what_was_refused_and_why_nothing_goes(file: BooksDatabase) -> None:
    """The fault keeps its first time; what was refused can wait again."""
    outbox = Outbox(file, now=lambda: _NOW)
    _books(file).save([sale("I1"), sale("I2"), sale("I3")])
    outbox.settle([1], {2: "too large"}, "no broker")
    later = Outbox(file, now=lambda: _NOW.replace(hour=15))
    later.settle([], {}, "no broker at all")
    state = later.state()
    assert state.counts == {WAITING: 1, SENT: 1, FAILED: 1}
    assert (state.fault, state.fault_since) == ("no broker at all", "2026-03-01T12:00:00.000Z")
    assert [(letter.key, letter.state, letter.reason) for letter in state.letters] == [
        ("I2", FAILED, "too large"),
        ("I3", WAITING, None),
        ("I1", SENT, None),
    ]
    later.settle([], {}, None)
    assert (later.state().fault, later.state().fault_since) == (None, None)
    assert outbox.retry_failed() == 1
    assert [message.key for message in outbox.waiting(9)] == ["I2", "I3"]


def test_the_file_is_for_its_owner_alone(file: BooksDatabase) -> None:
    """Clients' names and addresses lie in it."""
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """With its name and the setting in the message."""
    path = tmp_path / "stock_management.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE products (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(BooksError, match=r"tables of another program.*SQLITE_DB_PATH"):
        BooksDatabase(path).prepare()
    with sqlite3.connect(path) as connection:
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_master")] == ["products"]
    assert len(before) <= path.stat().st_size


def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, file: BooksDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage, a folder in its place, and a lock that nobody lets go of, each in one sentence."""
    (tmp_path / "text.db").write_text("this is no database, but long enough to look like a file of one" * 20)
    for path in (tmp_path / "text.db", tmp_path):
        with pytest.raises(BooksError, match="SQLITE_DB_PATH"):
            BooksDatabase(path).prepare()
    monkeypatch.setattr(database_module, "_BUSY_SECONDS", 0.1)
    with file.write(), pytest.raises(BooksError, match=r"database is locked.*nothing was saved"):
        _books(file).save([sale()])
    assert _waiting(file) == []
