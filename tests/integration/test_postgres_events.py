"""The transaction of a batch by itself: what it counts, and the histogram of latencies."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest

from contracts import BatchKey
from sinks.ecommerce.commit import (
    LATENCY_BOUNDS,
    Outcome,
    complete_batch,
    find_outcome,
    refused_records,
)
from sinks.ecommerce.staging import LostRowsError, Staged, count, drop_leftovers, hold, staging_table
from sinks.stream_letters import RejectedRecord

_STARTED = datetime(2026, 1, 1, tzinfo=timezone.utc)
_KEY = BatchKey(str(uuid.UUID(int=7)), 3)


@pytest.fixture
def other(events_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """Another program's connection."""
    with psycopg.connect(events_dsn, autocommit=True) as opened:
        yield opened


@pytest.fixture
def table(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """A staging table."""
    with staging_table(connection) as made:
        yield made


def _stage(
    connection: psycopg.Connection[Any],
    table: str,
    seconds_ago: list[float],
    refused: int = 0,
    now: datetime | None = None,
) -> Staged:
    """An event of each age, and refused records, as one task would leave them in `table`."""
    with connection.transaction():
        for number, seconds in enumerate(seconds_ago):
            connection.execute(
                f"INSERT INTO {table} (event_id, user_id, product_id, product_name, product_category,"
                " event_type, event_timestamp, file, line)"
                " VALUES (%s, 'u', 'p', 'n', 'c', 'view', coalesce(%s, now()) - %s * interval '1 second',"
                " 'a.csv', %s)",
                [uuid.UUID(int=number), now, seconds, number],
            )
        for line in range(refused):
            connection.execute(
                f"INSERT INTO {table} (reason, file, line, raw) VALUES ('corrupt', 'a.csv', %s, 'x')", [line]
            )
        ((writer,),) = connection.execute("SELECT pg_current_xact_id()::text").fetchall()
    return count(connection, table, [writer], len(seconds_ago) + refused)


def _no_conflict(records: Iterator[RejectedRecord]) -> int:
    assert list(records) == []
    return 0


def _commit(connection: psycopg.Connection[Any], staged: Staged, key: BatchKey | None = None) -> Outcome:
    """The whole batch at once, on a connection of its own."""
    with psycopg.connect(connection.info.dsn) as inserting:
        return _complete(inserting, staged, key)


def _complete(inserting: psycopg.Connection[Any], staged: Staged, key: BatchKey | None = _KEY) -> Outcome:
    return complete_batch(inserting, staged, key, _STARTED, _no_conflict)


def test_latencies_are_counted_in_their_buckets(connection: psycopg.Connection[Any], table: str) -> None:
    """Seconds by bucket, their sum and maximum; above the last bound is a bucket, the future counts as 0."""
    middles = [(low + high) / 2 for low, high in zip((0.0, *LATENCY_BOUNDS), LATENCY_BOUNDS, strict=False)]
    ages = [-30.0, *middles, 7200.0, 7300.0]
    # In one transaction time stands still for PostgreSQL.
    with psycopg.connect(connection.info.dsn, autocommit=True) as inserting, inserting.transaction():
        outcome = _complete(inserting, _stage(inserting, table, ages))
    assert outcome.latency.buckets == (2, *[1] * (len(LATENCY_BOUNDS) - 1), 2)
    assert sum(outcome.latency.buckets) == outcome.inserted == len(ages)
    assert outcome.latency.total_seconds == pytest.approx(sum(ages[1:]))
    assert outcome.latency.max_seconds == 7300.0
    noted = find_outcome(connection, _KEY)
    assert noted is not None
    assert noted.latency == outcome.latency


def test_duplicates_have_no_latency(connection: psycopg.Connection[Any]) -> None:
    """Only what is inserted has one; a batch that inserts nothing has none."""
    now = datetime.now(timezone.utc)
    outcomes = []
    for ages in ([5.0], [5.0, 50.0], [5.0]):
        with staging_table(connection) as table:
            outcomes.append(_commit(connection, _stage(connection, table, ages, now=now)))
    _, outcome, again = outcomes
    assert (outcome.records_in, outcome.inserted, outcome.duplicates) == (2, 1, 1)
    assert sum(outcome.latency.buckets) == 1
    assert outcome.latency.max_seconds >= 50
    assert (again.inserted, sum(again.latency.buckets), again.latency.total_seconds) == (0, 0, 0.0)


def test_refused_records_are_read_back_in_their_order_and_counted(
    connection: psycopg.Connection[Any], table: str
) -> None:
    """They are no events, and no event is among them."""
    staged = _stage(connection, table, [5.0], refused=3)
    with connection.transaction():
        found = list(refused_records(connection, staged))
    assert [(record.reason, record.source, record.position, record.raw) for record in found] == [
        ("corrupt", "a.csv", line, b"x") for line in range(3)
    ]
    outcome = _commit(connection, staged, _KEY)
    assert (outcome.records_in, outcome.inserted, dict(outcome.rejected)) == (4, 1, {"corrupt": 3})


def test_events_and_ledger_are_one_transaction(
    connection: psycopg.Connection[Any], other: psycopg.Connection[Any], table: str
) -> None:
    """At the last moment both are in it, and nobody else sees either; then it is lost as a whole."""
    staged = _stage(connection, table, [5.0, 6.0])
    counts = "SELECT (SELECT count(*) FROM user_events), (SELECT count(*) FROM user_event_batches)"
    with psycopg.connect(connection.info.dsn) as inserting:
        _complete(inserting, staged)
        seen = [someone.execute(counts).fetchone() for someone in (inserting, other)]
        inserting.rollback()
    assert seen == [(2, 1), (0, 0)]
    assert other.execute(counts).fetchone() == (0, 0)
    _commit(connection, staged, _KEY)
    assert other.execute(counts).fetchone() == (2, 1)


def test_leftovers_are_dropped_and_what_is_in_use_is_not(
    connection: psycopg.Connection[Any], other: psycopg.Connection[Any], table: str
) -> None:
    """Another pipeline on the same database is in the middle of a batch, and this one was killed before."""
    left = "ecommerce_staging_0123456789abcdef"
    for name in (left, f"{left}_pieces"):
        connection.execute(f"CREATE UNLOGGED TABLE {name} ()")
    names = "SELECT relname FROM pg_class WHERE relname LIKE 'ecommerce_staging%' AND relkind = 'r'"
    with psycopg.connect(connection.info.dsn) as holding:
        hold(holding, table)
        assert drop_leftovers(other) == 2
        assert other.execute(names).fetchall() == [(table,)]
        # A task can write meanwhile.
        assert _stage(connection, table, [5.0]).by_reason == {None: 1}
    with psycopg.connect(connection.info.dsn) as task:
        task.execute(f"INSERT INTO {table} (line) VALUES (1)")
        assert drop_leftovers(other) == 0
    assert drop_leftovers(other) == 1
    assert other.execute(names).fetchall() == []
    with pytest.raises(LostRowsError), connection.transaction():
        hold(connection, table)


def test_a_staging_table_is_gone_after_its_batch_however_that_ends(
    connection: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    """A task that still writes keeps it, and holds the batch up for no more than two seconds."""
    names = "SELECT relname FROM pg_class WHERE relname LIKE 'ecommerce_staging%' AND relkind = 'r'"

    def fail() -> None:
        with staging_table(connection) as table:
            assert other.execute(names).fetchall() == [(table,)]
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert other.execute(names).fetchall() == []
    with psycopg.connect(connection.info.dsn) as task:
        with staging_table(connection) as table:
            task.execute(f"INSERT INTO {table} (line) VALUES (1)")
        assert other.execute(names).fetchall() == [(table,)]
    assert drop_leftovers(other) == 1


def test_a_staging_table_that_lost_rows_is_noticed(connection: psycopg.Connection[Any], table: str) -> None:
    """A crash of the server empties it; then the batch comes again."""
    staged = _stage(connection, table, [5.0, 6.0])
    connection.execute(f"DELETE FROM {table} WHERE event_id = %s", [uuid.UUID(int=0)])
    with pytest.raises(LostRowsError, match="1 of 2"):
        count(connection, table, staged.writers, 2)


def test_a_crash_after_the_rows_were_counted_commits_nothing(
    connection: psycopg.Connection[Any], table: str
) -> None:
    """The transaction that holds the table is that which inserts, and does not outlive the server's rows."""
    with psycopg.connect(connection.info.dsn) as inserting:
        hold(inserting, table)
        staged = _stage(connection, table, [5.0])
        connection.execute("SELECT pg_terminate_backend(%s)", [inserting.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            _complete(inserting, staged)
    assert find_outcome(connection, _KEY) is None


def test_events_of_a_try_that_does_not_count_are_left_out(
    connection: psycopg.Connection[Any], table: str
) -> None:
    """A task had sent its rows and then lost to another try of it, which had read a file that was changed."""
    connection.execute(
        f"INSERT INTO {table} (event_id, user_id, product_id, product_name, product_category, event_type,"
        " event_timestamp) VALUES (%s, 'u', 'p', 'n', 'c', 'view', now())",
        [uuid.UUID(int=99)],
    )
    connection.execute(f"INSERT INTO {table} (reason, file, line) VALUES ('corrupt', 'a.csv', 9)")
    staged = _stage(connection, table, [5.0, 6.0], refused=1)
    with connection.transaction():
        assert [record.position for record in refused_records(connection, staged)] == [0]
    outcome = _commit(connection, staged, _KEY)
    assert (outcome.inserted, outcome.duplicates, dict(outcome.rejected)) == (2, 0, {"corrupt": 1})
    found = connection.execute("SELECT event_id FROM user_events ORDER BY 1").fetchall()
    assert found == [(uuid.UUID(int=0),), (uuid.UUID(int=1),)]
