"""The one transaction of a batch: events and ledger, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from contracts import EVENT_COLUMNS
from sinks.postgres_client import server_time
from sinks.postgres_schema import EVENTS, LEDGER
from sinks.postgres_staging import Staged
from sinks.stream_letters import RejectedRecord

# Upper bounds in seconds of `Outcome.latency`; one more bucket holds what is above the last.
LATENCY_BOUNDS = (1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
_FETCH_ROWS = 2_000


class LostRowsError(Exception):
    """The staging table lacks rows that the tasks sent, because the server crashed; repeat the batch."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from event to insertion: events by bucket of LATENCY_BOUNDS, their sum and their maximum."""

    buckets: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS) + 1)
    total_seconds: float = 0.0
    max_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch's records: records_in = inserted + duplicates + the sum of `rejected`."""

    records_in: int
    inserted: int
    duplicates: int
    rejected: Mapping[str, int]
    latency: Latency
    started_at: datetime
    committed_at: datetime
    reported: bool = False


def find_outcome(connection: psycopg.Connection[Any], query_id: str, batch_id: int) -> Outcome | None:
    """What the ledger says of a batch; None when it was never committed."""
    row = connection.execute(
        f"SELECT records_in, inserted, duplicates, rejected, latency, started_at, committed_at, reported"
        f" FROM {LEDGER} WHERE query_id = %s AND batch_id = %s",
        [query_id, batch_id],
    ).fetchone()
    if row is None:
        return None
    records_in, inserted, duplicates, rejected, latency, started_at, committed_at, reported = row
    return Outcome(
        records_in, inserted, duplicates, rejected, _latency(latency), started_at, committed_at, reported
    )


def mark_reported(connection: psycopg.Connection[Any], query_id: str, batch_id: int) -> None:
    """Note that logs and metrics have the batch, so that they do not count it again after a crash."""
    connection.execute(
        f"UPDATE {LEDGER} SET reported = true WHERE query_id = %s AND batch_id = %s", [query_id, batch_id]
    )


def commit_batch(
    connection: psycopg.Connection[Any],
    staged: Staged,
    key: tuple[str, int] | None,
    started_at: datetime,
    keep_rejected: Callable[[Iterator[RejectedRecord]], None],
    step: Callable[[str], None] = lambda _name: None,
) -> Outcome:
    """Insert the events and note them under `key` (query id, batch id) in the ledger, if there is one.

    `keep_rejected` gets the refused records by file, reason and line, and must have stored them when it
    returns; `step` is told what is done. Raises LostRowsError, and whatever the functions and PostgreSQL
    raise; then nothing is changed.
    """
    with connection.transaction():
        connection.execute("SET LOCAL work_mem = '64MB'")
        by_reason = _count(connection, staged)
        if sum(by_reason.values()) != staged.rows:
            raise LostRowsError(
                f"{staged.table} has {sum(by_reason.values())} of {staged.rows} rows: PostgreSQL crashed"
            )
        valid = by_reason.pop(None, 0)
        if by_reason:
            keep_rejected(_rejected(connection, staged))
        step("dead_letters")
        inserted, latency = _insert(connection, staged)
        rejected = {reason: count for reason, count in by_reason.items() if reason is not None}
        outcome = Outcome(
            staged.rows, inserted, valid - inserted, rejected, latency, started_at, server_time(connection)
        )
        if key is not None:
            _note(connection, key, outcome)
        step("insert")
    return outcome


def _note(connection: psycopg.Connection[Any], key: tuple[str, int], outcome: Outcome) -> None:
    connection.execute(
        f"INSERT INTO {LEDGER} (query_id, batch_id, records_in, inserted, duplicates, rejected, latency,"
        " started_at, committed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            *key,
            outcome.records_in,
            outcome.inserted,
            outcome.duplicates,
            Jsonb(outcome.rejected),
            _json(outcome.latency),
            outcome.started_at,
            outcome.committed_at,
        ],
    )


def _count(connection: psycopg.Connection[Any], staged: Staged) -> dict[str | None, int]:
    query = sql.SQL(
        "SELECT reason, count(*) FROM {} WHERE writer = ANY(%s::xid8[]) GROUP BY reason ORDER BY reason"
    )
    return dict(connection.execute(query.format(sql.Identifier(staged.table)), [staged.writers]).fetchall())


def _rejected(connection: psycopg.Connection[Any], staged: Staged) -> Iterator[RejectedRecord]:
    query = sql.SQL(
        "SELECT reason, file, line, raw, header FROM {} WHERE reason IS NOT NULL"
        " AND writer = ANY(%s::xid8[]) ORDER BY file, reason, line"
    )
    with connection.cursor("rejected", binary=True) as cursor:
        cursor.itersize = _FETCH_ROWS
        cursor.execute(query.format(sql.Identifier(staged.table)), [staged.writers])
        for row in cursor:
            yield RejectedRecord(*row)


def _insert(connection: psycopg.Connection[Any], staged: Staged) -> tuple[int, Latency]:
    """Insert in the order of the key (neighbours share pages, and two writers cannot deadlock)."""
    columns = ", ".join(EVENT_COLUMNS)
    query = sql.SQL(
        f"WITH fresh AS (INSERT INTO {EVENTS} ({columns}) SELECT {columns} FROM {{}} WHERE reason IS NULL"
        " AND writer = ANY(%s::xid8[]) ORDER BY event_id ON CONFLICT (event_id) DO NOTHING"
        # date_part is float8; extract would make a numeric of each.
        " RETURNING greatest(date_part('epoch', now() - event_timestamp), 0) AS seconds)"
        " SELECT width_bucket(seconds, %s::float8[]), count(*), sum(seconds), max(seconds)"
        " FROM fresh GROUP BY 1"
    )
    rows = connection.execute(
        query.format(sql.Identifier(staged.table)), [staged.writers, list(LATENCY_BOUNDS)]
    ).fetchall()
    buckets = [0] * (len(LATENCY_BOUNDS) + 1)
    for bucket, count, _, _ in rows:
        buckets[bucket] = count
    longest = max((seconds for *_, seconds in rows), default=0.0)
    return sum(buckets), Latency(tuple(buckets), sum(row[2] for row in rows), max(longest, 0.0))


def _json(latency: Latency) -> Jsonb:
    return Jsonb({"buckets": latency.buckets, "total": latency.total_seconds, "max": latency.max_seconds})


def _latency(fields: dict[str, Any]) -> Latency:
    return Latency(tuple(fields["buckets"]), fields["total"], fields["max"])
