"""The one transaction of a batch: events and ledger, all or nothing; an id has one event for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from contracts import BatchKey
from contracts.ecommerce import EVENT_COLUMNS
from contracts.texts import BLANKS
from sinks.ecommerce.connection import server_time
from sinks.ecommerce.schema import EVENTS, LEDGER
from sinks.ecommerce.staging import EVENT_TYPES, Staged
from sinks.stream_letters import RejectedRecord

CONFLICT = "conflict"
# Upper bounds in seconds of `Latency.buckets`; one more bucket holds what is above the last.
LATENCY_BOUNDS = (1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
# Enough to sort some hundred thousand events without the disk; compiling takes longer than it saves.
SETTINGS = "SET LOCAL work_mem = '256MB'; SET LOCAL jit = off"
_FETCH_ROWS = 2_000
_COLUMNS = ", ".join(EVENT_COLUMNS)
_CONTENT = [name for name in EVENT_COLUMNS if name != "event_id"]
# Earlier versions left more white space around a text; read again, it is the same text.
_STORED = [
    f"btrim(e.{name}, '{BLANKS}')" if EVENT_TYPES[name] == "TEXT" else f"e.{name}" for name in _CONTENT
]
# Of events with the same id the first counts, by file and line; neighbours share pages of the key's index.
_INSERT = (
    f"WITH fresh AS (INSERT INTO {EVENTS} ({_COLUMNS}) SELECT {_COLUMNS} FROM {{}}"
    " WHERE reason IS NULL AND writer = ANY(%s::xid8[]) ORDER BY event_id, file, line"
    " ON CONFLICT (event_id) DO NOTHING"
    # date_part is float8; extract would make a numeric of each.
    " RETURNING greatest(date_part('epoch', now() - event_timestamp), 0) AS seconds)"
    " SELECT width_bucket(seconds, %s::float8[]), count(*), sum(seconds), max(seconds) FROM fresh GROUP BY 1"
)
_REFUSED = (
    "SELECT reason, file, line, raw, header FROM {} WHERE reason IS NOT NULL AND writer = ANY(%s::xid8[])"
    " ORDER BY file, reason, line"
)
_CONFLICTS = (
    f"SELECT '{CONFLICT}', file, line, convert_to(text, 'UTF8'), header"
    f" FROM {{}} AS s JOIN {EVENTS} AS e USING (event_id) WHERE reason IS NULL AND writer = ANY(%s::xid8[])"
    f" AND ({', '.join(f's.{name}' for name in _CONTENT)})"
    f" IS DISTINCT FROM ({', '.join(f'e.{name}' for name in _CONTENT)})"
    # Only asked where the first differ: it takes its time.
    f" AND ({', '.join(f's.{name}' for name in _CONTENT)}) IS DISTINCT FROM ({', '.join(_STORED)})"
    " ORDER BY file, line"
)


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from event to insertion: events by bucket of LATENCY_BOUNDS, their sum and their maximum."""

    buckets: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS) + 1)
    total_seconds: float = 0.0
    max_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch's records: records_in = inserted + duplicates + the sum of `rejected`.

    `noted` counts what a person should know of the valid ones; the ledger does not keep it.
    """

    records_in: int
    inserted: int
    duplicates: int
    rejected: Mapping[str, int]
    latency: Latency
    started_at: datetime
    committed_at: datetime
    reported: bool = False
    noted: Mapping[str, int] = field(default_factory=dict)


def find_outcome(connection: psycopg.Connection[Any], key: BatchKey) -> Outcome | None:
    """What the ledger says of a batch; None when it was never committed."""
    row = connection.execute(
        f"SELECT records_in, inserted, duplicates, rejected, latency, started_at, committed_at, reported"
        f" FROM {LEDGER} WHERE query_id = %s AND batch_id = %s",
        [key.query_id, key.number],
    ).fetchone()
    if row is None:
        return None
    records_in, inserted, duplicates, rejected, latency, started_at, committed_at, reported = row
    found = Latency(tuple(latency["buckets"]), latency["total"], latency["max"])
    return Outcome(records_in, inserted, duplicates, rejected, found, started_at, committed_at, reported)


def mark_reported(connection: psycopg.Connection[Any], key: BatchKey) -> None:
    """Note that logs and metrics have the batch, so that they do not count it again after a crash."""
    connection.execute(
        f"UPDATE {LEDGER} SET reported = true WHERE query_id = %s AND batch_id = %s",
        [key.query_id, key.number],
    )


def refused_records(connection: psycopg.Connection[Any], staged: Staged) -> Iterator[RejectedRecord]:
    """The records that broke a rule, by file, reason and line."""
    return _records(connection, _REFUSED, staged)


def complete_batch(
    connection: psycopg.Connection[Any],
    staged: Staged,
    key: BatchKey | None,
    started_at: datetime,
    keep: Callable[[Iterator[RejectedRecord]], int],
) -> Outcome:
    """Insert the events, and note the batch under `key`, if any, in the ledger; the caller commits.

    `keep` gets, by file and line, the events that are refused as a `conflict`, because another event has
    their id, stored before or in this batch; when it returns their number it must have stored them.
    """
    refused = {reason: count for reason, count in staged.by_reason.items() if reason is not None}
    valid = staged.by_reason.get(None, 0)
    latency = _insert(connection, staged)
    inserted = sum(latency.buckets)
    conflicts = keep(_records(connection, _CONFLICTS, staged)) if inserted < valid else 0
    if conflicts:
        refused[CONFLICT] = conflicts
    outcome = Outcome(
        sum(staged.by_reason.values()),
        inserted,
        valid - inserted - conflicts,
        refused,
        latency,
        started_at,
        server_time(connection),
        noted=staged.noted,
    )
    if key is not None:
        _note(connection, key, outcome)
    return outcome


def _insert(connection: psycopg.Connection[Any], staged: Staged) -> Latency:
    connection.execute(SETTINGS)
    query = sql.SQL(_INSERT).format(sql.Identifier(staged.table))
    rows = connection.execute(query, [staged.writers, list(LATENCY_BOUNDS)]).fetchall()
    buckets = [0] * (len(LATENCY_BOUNDS) + 1)
    for bucket, count, _, _ in rows:
        buckets[bucket] = count
    longest = max((seconds for *_, seconds in rows), default=0.0)
    return Latency(tuple(buckets), sum(row[2] for row in rows), longest)


def _note(connection: psycopg.Connection[Any], key: BatchKey, outcome: Outcome) -> None:
    latency = outcome.latency
    connection.execute(
        f"INSERT INTO {LEDGER} (query_id, batch_id, records_in, inserted, duplicates, rejected, latency,"
        " started_at, committed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            key.query_id,
            key.number,
            outcome.records_in,
            outcome.inserted,
            outcome.duplicates,
            Jsonb(outcome.rejected),
            Jsonb({"buckets": latency.buckets, "total": latency.total_seconds, "max": latency.max_seconds}),
            outcome.started_at,
            outcome.committed_at,
        ],
    )


def _records(
    connection: psycopg.Connection[Any], query: LiteralString, staged: Staged
) -> Iterator[RejectedRecord]:
    with connection.cursor("rejected", binary=True) as cursor:
        cursor.itersize = _FETCH_ROWS
        cursor.execute(sql.SQL(query).format(sql.Identifier(staged.table)), [staged.writers])
        for row in cursor:
            yield RejectedRecord(*row)
