"""Inserts a batch's staged events, in one open transaction, while Spark's tasks still stage the rest.

Inserting takes longer than staging and runs on one of the server's cores, so it begins with the first writer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event
from typing import Any

import psycopg
from psycopg import sql

from contracts import EVENT_COLUMNS
from sinks.postgres_schema import EVENTS

# Upper bounds in seconds of `Latency.buckets`; one more bucket holds what is above the last.
LATENCY_BOUNDS = (1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
# Enough to sort some hundred thousand events without the disk; compiling takes longer than it saves.
SETTINGS = "SET LOCAL work_mem = '256MB'; SET LOCAL jit = off"
# A batch waits for so long at its end.
_LISTEN_SECONDS = 0.05
_CANCEL_SECONDS = 5.0
# Every insertion reads the whole staging table, so it must have a tenth of it to insert.
_LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from event to insertion: events by bucket of LATENCY_BOUNDS, their sum and their maximum."""

    buckets: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS) + 1)
    total_seconds: float = 0.0
    max_seconds: float = 0.0

    def __add__(self, other: Latency) -> Latency:
        return Latency(
            tuple(one + two for one, two in zip(self.buckets, other.buckets, strict=True)),
            self.total_seconds + other.total_seconds,
            max(self.max_seconds, other.max_seconds),
        )


class Insertion:
    """The transaction of one batch on `connection`, which must not be in autocommit: what it has inserted."""

    def __init__(self, connection: psycopg.Connection[Any], table: str) -> None:
        self.connection = connection
        self.table = table
        self.latency = Latency()
        self._writers: set[str] = set()

    @property
    def inserted(self) -> int:
        """Events that were not in the table before."""
        return sum(self.latency.buckets)

    def insert(self, writers: Collection[str]) -> None:
        """Insert the events of `writers`, in the order of the key, so that neighbours share pages."""
        if not writers:
            return
        self._writers.update(writers)
        columns = ", ".join(EVENT_COLUMNS)
        query = sql.SQL(
            f"WITH fresh AS (INSERT INTO {EVENTS} ({columns}) SELECT {columns} FROM {{}} WHERE reason IS NULL"
            " AND writer = ANY(%s::xid8[]) ORDER BY event_id ON CONFLICT (event_id) DO NOTHING"
            # date_part is float8; extract would make a numeric of each.
            " RETURNING greatest(date_part('epoch', now() - event_timestamp), 0) AS seconds)"
            " SELECT width_bucket(seconds, %s::float8[]), count(*), sum(seconds), max(seconds)"
            " FROM fresh GROUP BY 1"
        )
        self.connection.execute(SETTINGS)
        rows = self.connection.execute(
            query.format(sql.Identifier(self.table)), [list(writers), list(LATENCY_BOUNDS)]
        ).fetchall()
        buckets = [0] * (len(LATENCY_BOUNDS) + 1)
        for bucket, count, _, _ in rows:
            buckets[bucket] = count
        longest = max((seconds for *_, seconds in rows), default=0.0)
        self.latency += Latency(tuple(buckets), sum(row[2] for row in rows), max(longest, 0.0))

    def begin_again_unless(self, writers: Collection[str]) -> None:
        """Undo everything when a writer was inserted that is none of `writers`, those that count."""
        if not self._writers <= set(writers):
            self.connection.rollback()
            self.latency = Latency()
            self._writers.clear()

    def insert_rest(self, writers: Collection[str]) -> None:
        """Insert the events of those writers whose events are not inserted yet."""
        self.insert(set(writers) - self._writers)


@contextmanager
def inserting_early(insertion: Insertion, listener: psycopg.Connection[Any]) -> Iterator[None]:
    """Insert what is announced, until the block ends; meanwhile both connections belong to this.

    `listener` is in autocommit. Raises at the end what PostgreSQL raised meanwhile, unless the block does.
    """
    listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(insertion.table)))
    ended = Event()
    with ThreadPoolExecutor(1, thread_name_prefix="insertion") as pool:
        following = pool.submit(_follow, insertion, listener, ended)
        try:
            yield
        except BaseException:
            # A server that is away has nothing to cancel, and the block's own error is the one to tell.
            with suppress(psycopg.Error):
                insertion.connection.cancel_safe(timeout=_CANCEL_SECONDS)
            raise
        finally:
            ended.set()
    following.result()


def _follow(insertion: Insertion, listener: psycopg.Connection[Any], ended: Event) -> None:
    waiting: dict[str, int] = {}
    announced = 0
    while not ended.is_set():
        for note in listener.notifies(timeout=_LISTEN_SECONDS, stop_after=1):
            writer, rows = note.payload.split()
            waiting[writer] = int(rows)
            announced += int(rows)
        if waiting and sum(waiting.values()) >= _LEAST_SHARE * announced:
            insertion.insert(waiting)
            waiting.clear()
