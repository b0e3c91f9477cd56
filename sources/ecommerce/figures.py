"""How the e-commerce pipeline is doing, read from PostgreSQL: throughput, latency, batch time, duplicates.

Nothing here reads the whole of `user_events`: batches come from the ledger by its index on `committed_at`,
and the events of the last minutes by the index on `ingested_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg

# Each row of the ledger is one batch.
_BATCHES = """
    SELECT count(*), coalesce(sum(records_in), 0)::bigint, coalesce(sum(inserted), 0)::bigint,
        coalesce(sum(duplicates), 0)::bigint,
        avg(seconds)::float8, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds), max(seconds)
    FROM (
        SELECT records_in, inserted, duplicates,
            extract(epoch FROM committed_at - started_at)::float8 AS seconds
        FROM user_event_batches WHERE committed_at > %(since)s AND committed_at <= %(now)s
    ) AS batches
"""
# Records by the rule that refused them, the most frequent first.
REJECTED = """
    SELECT reason, sum(count::bigint)::bigint
    FROM user_event_batches, jsonb_each_text(rejected) AS r (reason, count)
    WHERE committed_at > %(since)s AND committed_at <= %(now)s GROUP BY reason ORDER BY 2 DESC, 1
"""
_LATENCY = """
    SELECT avg(seconds)::float8, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds), max(seconds)
    FROM (
        SELECT extract(epoch FROM ingested_at - event_timestamp)::float8 AS seconds
        FROM user_events WHERE ingested_at > %(since)s AND ingested_at <= %(now)s
    ) AS events
"""
FIRST_START = "SELECT started_at FROM user_event_batches ORDER BY committed_at LIMIT 1"
_LAST_COMMIT = "SELECT committed_at FROM user_event_batches ORDER BY committed_at DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Spread:
    """Figures in seconds; None where there is nothing to measure. Percentiles are interpolated."""

    avg: float | None
    p50: float | None
    p95: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class EventFigures:
    """What was committed in the `seconds` before `now` (PostgreSQL's clock), or before an earlier moment.

    records_in = inserted + duplicates + the sum of `rejected`. `seconds` is the window, or the age of the
    first batch where that is younger. `latency` is ingested_at − event_timestamp of the inserted events.
    """

    now: datetime
    seconds: float
    batches: int
    records_in: int
    inserted: int
    duplicates: int
    rejected: Mapping[str, int]
    latency: Spread
    batch_seconds: Spread
    last_commit: datetime | None

    @property
    def events_per_second(self) -> float:
        """Inserted events a second, over the whole of `seconds`, pauses included."""
        return self.inserted / self.seconds if self.seconds else 0.0

    @property
    def duplicate_rate(self) -> float | None:
        """The share of the valid events that were there already, 0 to 1; None without valid events."""
        valid = self.inserted + self.duplicates
        return self.duplicates / valid if valid else None


def read_figures(
    connection: psycopg.Connection[Any], window: timedelta, before: timedelta = timedelta(0)
) -> EventFigures:
    """The figures of the `window` that ended `before` now; 0: the last one.

    In one snapshot when the caller's transaction is REPEATABLE READ. Raises psycopg's errors,
    UndefinedTable before the pipeline's first start.
    """
    (now,) = _row(connection, "SELECT now()")
    until = now - before
    since = until - window
    moments = {"now": until, "since": since}
    first, last = _first(connection, FIRST_START), _first(connection, _LAST_COMMIT)
    batches, records_in, inserted, duplicates, *batch_seconds = _row(connection, _BATCHES, moments)
    rejected = dict(connection.execute(REJECTED, moments).fetchall())
    latency = _row(connection, _LATENCY, moments)
    began = since if first is None else max(since, first)
    return EventFigures(
        now=now.astimezone(timezone.utc),
        seconds=max(timedelta(0), until - began).total_seconds(),
        batches=batches,
        records_in=records_in,
        inserted=inserted,
        duplicates=duplicates,
        rejected=rejected,
        latency=Spread(*latency),
        batch_seconds=Spread(*batch_seconds),
        last_commit=last.astimezone(timezone.utc) if last else None,
    )


def _row(connection: psycopg.Connection[Any], query: str, values: Mapping[str, Any] | None = None) -> Any:
    (row,) = connection.execute(query, values).fetchall()
    return row


def _first(connection: psycopg.Connection[Any], query: str) -> datetime | None:
    row = connection.execute(query).fetchone()
    return row[0] if row else None
