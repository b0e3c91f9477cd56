"""The one transaction of a batch: events and ledger, all or nothing; an id has one event for good."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
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
from sinks.ecommerce.insertion import Insertion, Latency
from sinks.ecommerce.schema import EVENTS, LEDGER
from sinks.ecommerce.staging import EVENT_TYPES, LostRowsError, Staged
from sinks.stream_letters import RejectedRecord

CONFLICT = "conflict"
_FETCH_ROWS = 2_000
_CONTENT = [name for name in EVENT_COLUMNS if name != "event_id"]
# Earlier versions left more white space around a text; read again, it is the same text.
_STORED = [
    f"btrim(e.{name}, '{BLANKS}')" if EVENT_TYPES[name] == "TEXT" else f"e.{name}" for name in _CONTENT
]
_CONFLICTING = (
    f"FROM {{}} AS s JOIN {EVENTS} AS e USING (event_id) WHERE reason IS NULL AND writer = ANY(%s::xid8[])"
    f" AND ({', '.join(f's.{name}' for name in _CONTENT)})"
    f" IS DISTINCT FROM ({', '.join(f'e.{name}' for name in _CONTENT)})"
    # Only asked where the first differ: it takes its time.
    f" AND ({', '.join(f's.{name}' for name in _CONTENT)}) IS DISTINCT FROM ({', '.join(_STORED)})"
)
_REFUSED = (
    "SELECT reason, file, line, raw, header FROM {} WHERE reason IS NOT NULL AND writer = ANY(%s::xid8[])"
    " ORDER BY file, reason, line"
)
_CONFLICTS = f"SELECT '{CONFLICT}', file, line, raw, header {_CONFLICTING} ORDER BY file, line"


class ChangedFilesError(LostRowsError):
    """Files lost records while their batch read them twice; repeat the batch."""


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
    return Outcome(
        records_in, inserted, duplicates, rejected, _latency(latency), started_at, committed_at, reported
    )


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
    insertion: Insertion,
    staged: Staged,
    key: BatchKey | None,
    started_at: datetime,
    keep: Callable[[Iterator[RejectedRecord]], object],
    place: Callable[[], Staged],
) -> Outcome:
    """Insert what is left, and note the batch under `key`, if any, in the ledger; the caller commits.

    `keep` gets the events that are refused as a `conflict`, because another event has their id, and must have
    stored them when it returns; `place` stages the events that count once more, with their files and lines,
    and is only called when there is such an event. What it finds counts: a file may have grown. Raises
    ChangedFilesError when that is less than before, and whatever the functions and PostgreSQL raise; then
    nothing may be committed.
    """
    connection = insertion.connection
    insertion.begin_again_unless(staged.writers)
    rejected = {reason: count for reason, count in staged.by_reason.items() if reason is not None}
    valid = staged.by_reason.get(None, 0)
    insertion.insert_rest(staged.writers)
    conflicts = _count_conflicts(connection, staged.table, insertion.incomplete)
    if conflicts:
        valid, conflicts = _insert_in_order(insertion, valid, place, keep)
        rejected[CONFLICT] = conflicts
    duplicates = valid - insertion.inserted - conflicts
    outcome = Outcome(
        insertion.inserted + duplicates + sum(rejected.values()),
        insertion.inserted,
        duplicates,
        rejected,
        insertion.latency,
        started_at,
        server_time(connection),
        noted=staged.noted,
    )
    if key is not None:
        _note(connection, key, outcome)
    return outcome


def _insert_in_order(
    insertion: Insertion,
    valid: int,
    place: Callable[[], Staged],
    keep: Callable[[Iterator[RejectedRecord]], object],
) -> tuple[int, int]:
    """Once more, so that the first of a file's events with the same id counts.

    Returns how many events there are, and how many of them are others. A file that grew since has more.
    """
    placed = place()
    found = placed.by_reason.get(None, 0)
    if found < valid:
        raise ChangedFilesError(f"the batch's files had {valid} valid records, and a moment later {found}")
    insertion.begin_again(placed.table)
    insertion.insert(placed.writers, "event_id, file, line")
    keep(_records(insertion.connection, _CONFLICTS, placed))
    return found, _count_conflicts(insertion.connection, placed.table, placed.writers)


def _note(connection: psycopg.Connection[Any], key: BatchKey, outcome: Outcome) -> None:
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
            _json(outcome.latency),
            outcome.started_at,
            outcome.committed_at,
        ],
    )


def _count_conflicts(connection: psycopg.Connection[Any], table: str, writers: Collection[str]) -> int:
    """Staged events whose id another event has, stored before or in this batch."""
    if not writers:
        return 0
    query = sql.SQL(f"SELECT count(*) {_CONFLICTING}").format(sql.Identifier(table))
    ((found,),) = connection.execute(query, [list(writers)]).fetchall()
    return int(found)


def _records(
    connection: psycopg.Connection[Any], query: LiteralString, staged: Staged
) -> Iterator[RejectedRecord]:
    with connection.cursor("rejected", binary=True) as cursor:
        cursor.itersize = _FETCH_ROWS
        cursor.execute(sql.SQL(query).format(sql.Identifier(staged.table)), [staged.writers])
        for row in cursor:
            yield RejectedRecord(*row)


def _json(latency: Latency) -> Jsonb:
    return Jsonb({"buckets": latency.buckets, "total": latency.total_seconds, "max": latency.max_seconds})


def _latency(fields: dict[str, Any]) -> Latency:
    return Latency(tuple(fields["buckets"]), fields["total"], fields["max"])
