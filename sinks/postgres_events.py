"""The one transaction of a batch: events and ledger, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from sinks.postgres_client import server_time
from sinks.postgres_insertion import Insertion, Latency
from sinks.postgres_schema import LEDGER
from sinks.postgres_staging import Staged
from sinks.stream_letters import RejectedRecord

_FETCH_ROWS = 2_000


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
    insertion: Insertion,
    staged: Staged,
    key: tuple[str, int] | None,
    started_at: datetime,
    keep_rejected: Callable[[Iterator[RejectedRecord]], None],
    step: Callable[[str], None] = lambda _name: None,
) -> Outcome:
    """Insert what is left, note the batch under `key` (query id, batch id) in the ledger, if any, and commit.

    `keep_rejected` gets the refused records by file, reason and line, and must have stored them when it
    returns; `step` is told what is done. Raises whatever the functions and PostgreSQL raise; then nothing is
    committed.
    """
    connection = insertion.connection
    insertion.begin_again_unless(staged.writers)
    rejected = {reason: count for reason, count in staged.by_reason.items() if reason is not None}
    valid = staged.by_reason.get(None, 0)
    if rejected:
        keep_rejected(_rejected(connection, staged))
    step("dead_letters")
    insertion.insert_rest(staged.writers)
    outcome = Outcome(
        sum(staged.by_reason.values()),
        insertion.inserted,
        valid - insertion.inserted,
        rejected,
        insertion.latency,
        started_at,
        server_time(connection),
    )
    if key is not None:
        _note(connection, key, outcome)
    step("insert")
    connection.commit()
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


def _json(latency: Latency) -> Jsonb:
    return Jsonb({"buckets": latency.buckets, "total": latency.total_seconds, "max": latency.max_seconds})


def _latency(fields: dict[str, Any]) -> Latency:
    return Latency(tuple(fields["buckets"]), fields["total"], fields["max"])
