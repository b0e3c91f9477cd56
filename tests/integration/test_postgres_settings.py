"""What a role, a database, the environment or a pooler brings along changes nothing that is stored."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from contracts import ConfigurationError
from contracts.ecommerce import EVENT_COLUMNS
from dashboard.data.shop import ShopData
from main import app
from pipelines.ecommerce import batch
from pipelines.ecommerce.figures import load_figures
from pipelines.ecommerce.job import prepare_database
from pipelines.engine.stop_flag import StopFlag
from settings import load
from sinks.ecommerce.connection import connect, transaction
from sinks.ecommerce.staging import Staged, _copy, create_table, new_table, stage
from tests.support.job import environment_of
from tests.support.pgbouncer import POOL_SIZE, pgbouncer
from tests.support.postgres_servers import fresh_database, fresh_role
from tests.support.shop import Shop, event, events

# Each would change what is stored, read or kept, or would end a batch.
ODD = {
    "client_encoding": "LATIN1",
    "DateStyle": "'SQL, DMY'",
    "TimeZone": "'America/New_York'",
    "IntervalStyle": "iso_8601",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "statement_timeout": "'59s'",
    "lock_timeout": "'59s'",
    "idle_in_transaction_session_timeout": "'59s'",
    "synchronous_commit": "off",
    "default_transaction_isolation": "serializable",
}
NAME = "Crème brûlée 🛒 “über”, €5"
_SOURCES = "SELECT name, source FROM pg_settings WHERE name ILIKE ANY(%s)"
_SET = "SELECT name FROM pg_settings WHERE source = 'session'"


@pytest.fixture
def odd_dsn(events_dsn: str) -> Iterator[str]:
    """The address of a user for whom every one of those settings is odd."""
    with fresh_role(events_dsn, "USAGE, CREATE ON SCHEMA public") as dsn:
        role = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
        with psycopg.connect(events_dsn) as connection:
            for name, value in ODD.items():
                connection.execute(f"ALTER ROLE {role} SET {name} = {value}")
        yield dsn


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is wrong with connections of this process: statements that run as the role has it, what stays."""
    faults: list[str] = []

    def ask(connection: psycopg.Connection[Any], query: str, values: Any = None) -> dict[str, Any]:
        cursor = psycopg.ClientCursor(connection)
        rows = original_execute(cursor, query, values).fetchall()
        return {row[0]: row[-1] for row in rows}

    def look(cursor: Any, query: Any) -> None:
        text = query if isinstance(query, str) else repr(query)
        if text.startswith("SET LOCAL"):
            return
        if cursor.connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            faults.append(f"outside a transaction: {text}")
            return
        found = ask(cursor.connection, _SOURCES, [list(ODD)])
        as_the_role_has_it = {name for name, source in found.items() if source not in ("client", "session")}
        level = ask(cursor.connection, "SHOW transaction_isolation")
        if as_the_role_has_it - {"default_transaction_isolation"} or "serializable" in level:
            faults.append(f"{sorted(as_the_role_has_it)}, {level}: {text}")

    def execute(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        look(cursor, query)
        return original_execute(cursor, query, *args, **kwargs)

    def copy(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        look(cursor, query)
        return original_copy(cursor, query, *args, **kwargs)

    def close(connection: Any) -> None:
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            faults.extend(f"stays after a transaction: {name}" for name in ask(connection, _SET))
        original_close(connection)

    original_execute, original_copy = psycopg.Cursor.execute, psycopg.Cursor.copy
    original_close = psycopg.Connection.close
    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    monkeypatch.setattr(psycopg.Cursor, "copy", copy)
    monkeypatch.setattr(psycopg.Connection, "close", close)
    return faults


def test_every_connection_fixes_the_settings_it_relies_on(
    tmp_path: Path, odd_dsn: str, spark: SparkSession, watched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stream, retry, figures, page, check and staging: the same text, times and numbers as elsewhere."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    shop = Shop(tmp_path, odd_dsn, spark)
    good = event(
        product_name=NAME, event_type="purchase", price="12.30", event_timestamp="2026-03-01T11:59:59Z"
    )
    shop.put([good, event(event_type="click"), *events(3)])
    pipeline = shop.pipeline()
    assert pipeline.reporting
    assert shop.run()
    pipeline.pings["PostgreSQL"]()
    assert len(shop.retrying().retry(shop.letters()).kept) == 1
    figures = load_figures(shop.settings, timedelta(minutes=5))
    assert (figures.inserted, figures.latency.max is not None) == (4, True)
    page = ShopData(odd_dsn).shop(timedelta(days=365)).value
    assert page is not None
    assert page.figures.inserted == 4
    _check(monkeypatch, shop)
    _stage_here(odd_dsn)
    assert watched == []
    monkeypatch.undo()
    with psycopg.connect(odd_dsn, client_encoding="UTF8") as connection:
        query = (
            "SELECT product_name, price::text, extract(epoch FROM event_timestamp)::bigint FROM user_events"
        )
        found = connection.execute(f"{query} WHERE event_id = %s", [good["event_id"]]).fetchall()
    assert found == [(NAME, "12.30", 1772366399)]


def _check(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    for name, value in environment_of(shop.settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(shop.folder)
    done = CliRunner().invoke(app, ["check", "--pipeline", "ecommerce", "--json"])
    assert done.exit_code == 0, done.stdout
    assert {row["status"] for row in json.loads(done.stdout)["checks"]} <= {"ok", "skipped", "warning"}


def _stage_here(dsn: str) -> None:
    """What an executor does, in this process."""
    table = new_table()
    with connect(dsn) as connection:
        create_table(connection, table)
    refused = {"reason": "corrupt", "file": NAME, "line": 1, "raw": "\\x00"}
    names = (*EVENT_COLUMNS, "reason", "file", "line", "header", "raw", "noted")
    row = pa.RecordBatch.from_pylist([dict.fromkeys(names) | refused])
    (result,) = _copy([row], dsn, table)
    assert result.column("error").to_pylist() == [None]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP", "WIN1252"])
def test_a_database_of_another_encoding_keeps_the_text_or_is_refused(
    tmp_path: Path, postgres_dsn: str, spark: SparkSession, encoding: str
) -> None:
    """Never other letters: SQL_ASCII stores what is sent, the others cannot hold every text."""
    options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with fresh_database(postgres_dsn, options) as dsn:
        shop = Shop(tmp_path, dsn, spark)
        if encoding != "SQL_ASCII":
            with pytest.raises(ConfigurationError, match=f"encoding {encoding}.*ENCODING 'UTF8'"):
                shop.pipeline()
            return
        shop.put([event(product_name=NAME)], "Ünï.csv")
        shop.put([event(product_name=NAME, event_type="click")], "Über.csv")
        assert shop.run()
        assert shop.query("SELECT product_name FROM user_events") == [(NAME.encode(),)]
        ((file, _),) = shop.dead_lines()
        assert file == "Über.csv"
        page = ShopData(dsn).shop(timedelta(days=1)).value
        assert page is not None


@pytest.mark.parametrize(
    ("setting", "told"),
    [("search_path = ''", "search_path"), ("default_transaction_read_only = on", "can only be read")],
)
def test_a_user_whose_settings_forbid_a_batch_is_told_so_at_the_start(
    events_dsn: str, setting: str, told: str
) -> None:
    """Not by each batch, again and again."""
    with fresh_role(events_dsn, "USAGE, CREATE ON SCHEMA public") as dsn:
        role = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
        with psycopg.connect(events_dsn) as connection:
            connection.execute(f"ALTER ROLE {role} SET {setting}")
        with pytest.raises(ConfigurationError, match=told):
            prepare_database(load(env_file=None, postgres_dsn=dsn))


def test_a_database_that_can_only_be_read_for_a_while_is_told_in_lines_and_tried_again(
    tmp_path: Path, events_dsn: str, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under the running stream, as after a failover to a replica; no traceback, and nothing is lost."""
    shop = Shop(tmp_path, events_dsn, spark, retry_attempts=2, retry_base_seconds=0.01)
    job, database = shop.pipeline(), psycopg.conninfo.conninfo_to_dict(events_dsn)["dbname"]
    shop.put(events(3))
    with psycopg.connect(events_dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        assert not job.once(StopFlag())
        told = capsys.readouterr().out
        assert "PostgreSQL can only be read" in told
        assert "Traceback" not in told
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    assert job.once(StopFlag())
    shop.assert_accounted(3)


def test_a_server_that_ends_idle_sessions_ends_no_batch(
    tmp_path: Path, events_dsn: str, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the rows are staged, once or twice; what was made for them is dropped."""
    shop = Shop(tmp_path, events_dsn, spark, retry_attempts=1)
    with psycopg.connect(events_dsn) as connection:
        if connection.info.server_version < 140_000:
            pytest.skip("PostgreSQL before 14 ends no idle sessions")
        shop.pipeline()
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET idle_session_timeout = '500ms'")

    def slowly(*args: Any, **kwargs: Any) -> Staged:
        time.sleep(1)
        return stage(*args, **kwargs)

    monkeypatch.setattr(batch, "stage", slowly)
    one = event()
    shop.put([one, {**one, "user_id": "other"}, *events(3)])
    assert shop.run()
    shop.assert_accounted(5)
    assert len(shop.log()) == 1
    assert shop.query("SELECT relname FROM pg_class WHERE relname LIKE 'ecommerce_staging%'") == []


def test_a_schema_whose_name_needs_quotes_is_one(
    tmp_path: Path, events_dsn: str, spark: SparkSession
) -> None:
    """The tables, a batch, what it leaves behind, the figures."""
    with psycopg.connect(events_dsn) as connection:
        connection.execute('CREATE SCHEMA "Shop é"')
        connection.execute(f'ALTER DATABASE {connection.info.dbname} SET search_path = "Shop é"')
    shop = Shop(tmp_path, events_dsn, spark)
    shop.put(events(3))
    assert shop.run()
    shop.assert_accounted(3)
    assert shop.query(
        "SELECT DISTINCT relnamespace::regnamespace::text FROM pg_class WHERE relname LIKE 'user_e%'"
    ) == [('"Shop é"',)]
    assert load_figures(shop.settings, timedelta(minutes=5)).inserted == 3


def test_a_pooler_in_transaction_mode_gets_its_connections_back_as_they_were(
    tmp_path: Path, events_dsn: str, spark: SparkSession
) -> None:
    """A batch, its conflicts, the figures through a real pgbouncer; the next program finds nothing of us."""
    with pgbouncer(events_dsn) as pooled:
        shop = Shop(tmp_path, pooled, spark)
        sent = events(50)
        shop.put([*sent, sent[0], {**sent[1], "user_id": "another"}, event(event_type="click")])
        assert shop.run()
        assert (shop.total("records_written"), shop.total("duplicates")) == (50, 1)
        assert shop.rejected() == {"conflict": 1, "invalid_event_type": 1}
        assert load_figures(shop.settings, timedelta(minutes=5)).inserted == 50
        assert ShopData(pooled).shop(timedelta(days=1)).value is not None
        with ExitStack() as stack:
            programs = [stack.enter_context(psycopg.connect(pooled)) for _ in range(POOL_SIZE)]
            # Each is in a transaction, so each has a connection of the server for itself.
            states = [_state(program) for program in programs]
    assert states == [(set(), 0, 0, 0)] * POOL_SIZE


# What the pooler itself sets for each program that comes.
_POOLERS_OWN = {"application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"}


def _state(program: psycopg.Connection[Any]) -> tuple[set[str], int, int, int]:
    """Settings, locks, channels and prepared statements of the server's connection that others left there."""
    changed = {name for (name,) in program.execute(_SET)} - _POOLERS_OWN
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    counts = (
        locks,
        "SELECT count(*) FROM pg_listening_channels()",
        "SELECT count(*) FROM pg_prepared_statements",
    )
    found = [program.execute(query).fetchall()[0][0] for query in counts]
    return changed, found[0], found[1], found[2]


def test_a_commit_waits_for_the_disk_whatever_the_role_says(odd_dsn: str) -> None:
    """A lost commit of events would be lost for good: Spark takes their files as read."""
    with connect(odd_dsn) as connection:
        with transaction(connection):
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        with transaction(connection, synchronous_commit="off"):
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
