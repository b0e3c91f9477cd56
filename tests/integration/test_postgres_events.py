"""The transaction of a batch by itself: what it counts, and the histogram of latencies."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import psycopg
import pytest

from sinks.postgres_events import LATENCY_BOUNDS, LostRowsError, commit_batch, find_outcome
from sinks.postgres_schema import ensure_tables
from sinks.postgres_staging import Staged, create_table
from sinks.stream_letters import RejectedRecord

_STARTED = datetime(2026, 1, 1, tzinfo=timezone.utc)
_KEY = (str(uuid.UUID(int=7)), 3)


@pytest.fixture
def connection(events_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database with the tables."""
    with psycopg.connect(events_dsn, autocommit=True) as opened:
        ensure_tables(opened)
        yield opened


def _stage(connection: psycopg.Connection[Any], seconds_ago: list[float], refused: int = 0) -> Staged:
    """A staging table with an event of each age, and with refused records, as one task would leave it."""
    table = create_table(connection)
    with connection.transaction():
        for number, seconds in enumerate(seconds_ago):
            connection.execute(
                f"INSERT INTO {table} (event_id, user_id, product_id, product_name, product_category,"
                " event_type, event_timestamp)"
                " VALUES (%s, 'u', 'p', 'n', 'c', 'view', now() - %s * interval '1 second')",
                [uuid.UUID(int=number), seconds],
            )
        for line in range(refused):
            connection.execute(
                f"INSERT INTO {table} (reason, file, line, raw) VALUES ('corrupt', 'a.csv', %s, 'x')", [line]
            )
        ((writer,),) = connection.execute("SELECT pg_current_xact_id()::text").fetchall()
    return Staged(table, [writer], len(seconds_ago) + refused)


def _keep(found: list[RejectedRecord]) -> Any:
    return found.extend


def test_latencies_are_counted_in_their_buckets(connection: psycopg.Connection[Any]) -> None:
    """Seconds by bucket, their sum and maximum; above the last bound is a bucket, the future counts as 0."""
    middles = [(low + high) / 2 for low, high in zip((0.0, *LATENCY_BOUNDS), LATENCY_BOUNDS, strict=False)]
    ages = [-30.0, *middles, 7200.0, 7300.0]
    # In one transaction time stands still for PostgreSQL.
    with connection.transaction():
        outcome = commit_batch(connection, _stage(connection, ages), _KEY, _STARTED, _keep([]))
    assert outcome.latency.buckets == (2, *[1] * (len(LATENCY_BOUNDS) - 1), 2)
    assert sum(outcome.latency.buckets) == outcome.inserted == len(ages)
    assert outcome.latency.total_seconds == pytest.approx(sum(ages[1:]))
    assert outcome.latency.max_seconds == 7300.0
    noted = find_outcome(connection, *_KEY)
    assert noted is not None
    assert noted.latency == outcome.latency


def test_duplicates_have_no_latency(connection: psycopg.Connection[Any]) -> None:
    """Only what is inserted has one; a batch that inserts nothing has none."""
    commit_batch(connection, _stage(connection, [5.0]), None, _STARTED, _keep([]))
    outcome = commit_batch(connection, _stage(connection, [7.0, 50.0]), None, _STARTED, _keep([]))
    assert (outcome.records_in, outcome.inserted, outcome.duplicates) == (2, 1, 1)
    assert sum(outcome.latency.buckets) == 1
    assert outcome.latency.max_seconds >= 50
    again = commit_batch(connection, _stage(connection, [7.0]), None, _STARTED, _keep([]))
    assert (again.inserted, sum(again.latency.buckets), again.latency.total_seconds) == (0, 0, 0.0)


def test_refused_records_are_handed_over_before_anything_is_inserted(
    connection: psycopg.Connection[Any],
) -> None:
    """Whoever keeps them and fails takes the whole batch with him."""
    staged = _stage(connection, [5.0], refused=3)

    def fail(rejected: Iterator[RejectedRecord]) -> None:
        assert len(list(rejected)) == 3
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        commit_batch(connection, staged, _KEY, _STARTED, fail)
    assert connection.execute("SELECT count(*) FROM user_events").fetchall() == [(0,)]
    kept: list[RejectedRecord] = []
    outcome = commit_batch(connection, staged, _KEY, _STARTED, _keep(kept))
    assert (outcome.records_in, outcome.inserted, dict(outcome.rejected)) == (4, 1, {"corrupt": 3})
    assert [record.position for record in kept] == [0, 1, 2]


def test_a_staging_table_that_lost_rows_is_noticed(connection: psycopg.Connection[Any]) -> None:
    """A crash of the server empties it; then nothing is inserted and the batch comes again."""
    staged = _stage(connection, [5.0, 6.0])
    connection.execute(f"DELETE FROM {staged.table} WHERE event_id = %s", [uuid.UUID(int=0)])
    with pytest.raises(LostRowsError, match="1 of 2"):
        commit_batch(connection, staged, _KEY, _STARTED, _keep([]))
    assert find_outcome(connection, *_KEY) is None
