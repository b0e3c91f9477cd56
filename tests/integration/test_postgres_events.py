"""The transaction of a batch by itself: what it counts, and the histogram of latencies."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest

from contracts import BatchKey
from sinks.ecommerce.commit import Outcome, complete_batch, find_outcome, refused_records
from sinks.ecommerce.insertion import LATENCY_BOUNDS, Insertion, inserting_early
from sinks.ecommerce.staging import (
    LostRowsError,
    Staged,
    count,
    create_table,
    drop_leftovers,
    new_table,
    pieces_of,
    placed_of,
)
from sinks.stream_letters import RejectedRecord
from tests.support.waiting import wait_for

_STARTED = datetime(2026, 1, 1, tzinfo=timezone.utc)
_KEY = BatchKey(str(uuid.UUID(int=7)), 3)


@pytest.fixture
def other(events_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """Another program's connection."""
    with psycopg.connect(events_dsn, autocommit=True) as opened:
        yield opened


def _stage(
    connection: psycopg.Connection[Any],
    seconds_ago: list[float],
    refused: int = 0,
    now: datetime | None = None,
) -> Staged:
    """A staging table with an event of each age, and with refused records, as one task would leave it."""
    table = new_table()
    create_table(connection, table)
    with connection.transaction():
        for number, seconds in enumerate(seconds_ago):
            connection.execute(
                f"INSERT INTO {table} (event_id, user_id, product_id, product_name, product_category,"
                " event_type, event_timestamp)"
                " VALUES (%s, 'u', 'p', 'n', 'c', 'view', coalesce(%s, now()) - %s * interval '1 second')",
                [uuid.UUID(int=number), now, seconds],
            )
        for line in range(refused):
            connection.execute(
                f"INSERT INTO {table} (reason, file, line, raw) VALUES ('corrupt', 'a.csv', %s, 'x')", [line]
            )
        ((writer,),) = connection.execute(
            f"INSERT INTO {pieces_of(table)} (rows, valid) VALUES (%s, %s) RETURNING writer::text",
            [len(seconds_ago) + refused, len(seconds_ago)],
        ).fetchall()
    return count(connection, table, [writer], len(seconds_ago) + refused)


def _never() -> Staged:
    raise AssertionError("no event of this test conflicts with another")


def _no_conflict(records: Iterator[RejectedRecord]) -> None:
    assert list(records) == []


def _commit(connection: psycopg.Connection[Any], staged: Staged, key: BatchKey | None = None) -> Outcome:
    """The whole batch at once, on a connection of its own."""
    with psycopg.connect(connection.info.dsn) as inserting:
        return _complete(Insertion(inserting, staged.table), staged, key)


def _complete(insertion: Insertion, staged: Staged, key: BatchKey | None = _KEY) -> Outcome:
    return complete_batch(insertion, staged, key, _STARTED, _no_conflict, _never)


def test_latencies_are_counted_in_their_buckets(connection: psycopg.Connection[Any]) -> None:
    """Seconds by bucket, their sum and maximum; above the last bound is a bucket, the future counts as 0."""
    middles = [(low + high) / 2 for low, high in zip((0.0, *LATENCY_BOUNDS), LATENCY_BOUNDS, strict=False)]
    ages = [-30.0, *middles, 7200.0, 7300.0]
    # In one transaction time stands still for PostgreSQL.
    with psycopg.connect(connection.info.dsn, autocommit=True) as inserting, inserting.transaction():
        staged = _stage(inserting, ages)
        outcome = _complete(Insertion(inserting, staged.table), staged)
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
    _commit(connection, _stage(connection, [5.0], now=now))
    outcome = _commit(connection, _stage(connection, [5.0, 50.0], now=now))
    assert (outcome.records_in, outcome.inserted, outcome.duplicates) == (2, 1, 1)
    assert sum(outcome.latency.buckets) == 1
    assert outcome.latency.max_seconds >= 50
    again = _commit(connection, _stage(connection, [5.0], now=now))
    assert (again.inserted, sum(again.latency.buckets), again.latency.total_seconds) == (0, 0, 0.0)


def test_refused_records_are_read_back_in_their_order_and_counted(
    connection: psycopg.Connection[Any],
) -> None:
    """They are no events, and no event is among them."""
    staged = _stage(connection, [5.0], refused=3)
    with connection.transaction():
        found = list(refused_records(connection, staged))
    assert [(record.reason, record.source, record.position, record.raw) for record in found] == [
        ("corrupt", "a.csv", line, b"x") for line in range(3)
    ]
    outcome = _commit(connection, staged, _KEY)
    assert (outcome.records_in, outcome.inserted, dict(outcome.rejected)) == (4, 1, {"corrupt": 3})


def test_events_and_ledger_are_one_transaction(
    connection: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    """At the last moment both are in it, and nobody else sees either; then it is lost as a whole."""
    staged = _stage(connection, [5.0, 6.0])
    counts = "SELECT (SELECT count(*) FROM user_events), (SELECT count(*) FROM user_event_batches)"
    with psycopg.connect(connection.info.dsn) as inserting:
        _complete(Insertion(inserting, staged.table), staged)
        seen = [someone.execute(counts).fetchone() for someone in (inserting, other)]
        inserting.rollback()
    assert seen == [(2, 1), (0, 0)]
    assert other.execute(counts).fetchone() == (0, 0)
    _commit(connection, staged, _KEY)
    assert other.execute(counts).fetchone() == (2, 1)


def test_leftovers_are_dropped_and_what_is_in_use_is_not(
    connection: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    """Another pipeline on the same database is in the middle of a batch, and this one was killed before."""
    used, left = _stage(connection, [5.0]).table, _stage(connection, [5.0]).table
    create_table(connection, placed_of(left))
    names = "SELECT relname FROM pg_class WHERE relname LIKE 'ecommerce_staging%' AND relkind = 'r'"
    with psycopg.connect(connection.info.dsn) as inserting:
        insertion = Insertion(inserting, used)
        assert drop_leftovers(other) == 1
        assert {name for (name,) in other.execute(names)} == {used, pieces_of(used)}
        # Also after it began again.
        insertion.begin_again(used)
        assert drop_leftovers(other) == 0
    assert drop_leftovers(other) == 1
    assert other.execute(names).fetchall() == []


def test_a_staging_table_that_lost_rows_is_noticed(connection: psycopg.Connection[Any]) -> None:
    """A crash of the server empties it; then the batch comes again."""
    staged = _stage(connection, [5.0, 6.0])
    connection.execute(f"DELETE FROM {staged.table} WHERE event_id = %s", [uuid.UUID(int=0)])
    with pytest.raises(LostRowsError, match="1 of 2"):
        count(connection, staged.table, staged.writers, 2)


def test_a_crash_after_the_rows_were_counted_commits_nothing(connection: psycopg.Connection[Any]) -> None:
    """The connection that inserts is older than the count, so it does not outlive the server's rows."""
    with psycopg.connect(connection.info.dsn) as inserting:
        staged = _stage(connection, [5.0])
        connection.execute("SELECT pg_terminate_backend(%s)", [inserting.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            _complete(Insertion(inserting, staged.table), staged)
    assert find_outcome(connection, _KEY) is None


def test_what_is_announced_is_inserted_before_the_rest_is_staged(
    connection: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    """Nobody sees it before the commit, and in the end it is counted once."""
    staged = _stage(connection, [5.0, 6.0])
    with psycopg.connect(connection.info.dsn) as inserting:
        insertion = Insertion(inserting, staged.table)
        with inserting_early(insertion):
            wait_for(lambda: insertion.inserted >= 2, "an early insertion")
            assert other.execute("SELECT count(*) FROM user_events").fetchall() == [(0,)]
        outcome = _complete(insertion, staged)
    assert (outcome.inserted, outcome.duplicates) == (2, 0)
    assert sum(outcome.latency.buckets) == 2
    assert connection.execute("SELECT count(*) FROM user_events").fetchall() == [(2,)]


def test_events_of_a_try_that_does_not_count_are_taken_back(connection: psycopg.Connection[Any]) -> None:
    """A task was announced and then lost to another try of it, which had read a file that was changed."""
    staged = _stage(connection, [5.0, 6.0])
    with psycopg.connect(connection.info.dsn) as inserting:
        ((lost,),) = connection.execute(
            f"INSERT INTO {staged.table} (event_id, user_id, product_id, product_name, product_category,"
            " event_type, event_timestamp) VALUES (%s, 'u', 'p', 'n', 'c', 'view', now())"
            " RETURNING writer::text",
            [uuid.UUID(int=99)],
        ).fetchall()
        insertion = Insertion(inserting, staged.table)
        insertion.insert([lost])
        assert insertion.inserted == 1
        outcome = _complete(insertion, staged)
    assert (outcome.inserted, outcome.duplicates) == (2, 0)
    found = connection.execute("SELECT event_id FROM user_events ORDER BY 1").fetchall()
    assert found == [(uuid.UUID(int=0),), (uuid.UUID(int=1),)]


def test_when_staging_fails_the_early_events_are_taken_back(
    connection: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    """Leaving the block cancels a statement that runs, here one that waits for another program's row."""
    staged = _stage(connection, [5.0])
    columns = "event_id, user_id, product_id, product_name, product_category, event_type, event_timestamp"

    def stage_and_fail(inserting: psycopg.Connection[Any]) -> None:
        with inserting_early(Insertion(inserting, staged.table)):
            _wait_for_a_lock(other)
            raise OSError("staging failed")

    with psycopg.connect(connection.info.dsn) as blocker:
        blocker.execute(f"INSERT INTO user_events ({columns}) SELECT {columns} FROM {staged.table}")
        with psycopg.connect(connection.info.dsn) as inserting:
            with pytest.raises(OSError, match="staging failed"):
                stage_and_fail(inserting)
            assert inserting.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        blocker.rollback()
    assert connection.execute("SELECT count(*) FROM user_events").fetchall() == [(0,)]


def test_an_error_while_inserting_early_is_raised_at_the_end(
    connection: psycopg.Connection[Any], other: psycopg.Connection[Any]
) -> None:
    """It is PostgreSQL's own, so that a lost connection is told from a defect."""
    staged = _stage(connection, [5.0])

    def lose_the_connection(inserting: psycopg.Connection[Any]) -> None:
        with inserting_early(Insertion(inserting, staged.table)):
            other.execute("SELECT pg_terminate_backend(%s, 10000)", [inserting.info.backend_pid])

    with psycopg.connect(connection.info.dsn) as inserting, pytest.raises(psycopg.OperationalError):
        lose_the_connection(inserting)


def _wait_for_a_lock(connection: psycopg.Connection[Any]) -> None:
    ends = time.monotonic() + 60
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not connection.execute(waits).fetchall():
        assert time.monotonic() < ends, "the insertion does not wait"
        time.sleep(0.02)
