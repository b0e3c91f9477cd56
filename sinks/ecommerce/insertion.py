"""Inserts a batch's staged events, in one open transaction, while Spark's tasks still stage the rest.

Inserting takes longer than staging and runs on one of the server's cores, so it begins with the first writer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from contracts.ecommerce import EVENT_COLUMNS
from sinks.ecommerce.schema import EVENTS
from sinks.ecommerce.staging import lock, pieces_of

# Upper bounds in seconds of `Latency.buckets`; one more bucket holds what is above the last.
LATENCY_BOUNDS = (1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
# Enough to sort some hundred thousand events without the disk; compiling takes longer than it saves.
SETTINGS = "SET LOCAL work_mem = '256MB'; SET LOCAL jit = off"
_LOOK_SECONDS = 0.05
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
    """The transaction of one batch on `connection`: what it has inserted.

    The staging table counts as in use until it ends. The caller begins it and commits.
    """

    def __init__(self, connection: psycopg.Connection[Any], table: str) -> None:
        self.connection = connection
        self.table = table
        self.latency = Latency()
        # Whose events are not all new: duplicates and conflicts are looked for among theirs alone.
        self.incomplete: set[str] = set()
        self._writers: set[str] = set()
        lock(connection, table)
        connection.execute(f"{SETTINGS}; SAVEPOINT empty")

    @property
    def inserted(self) -> int:
        """Events that were not in the table before."""
        return sum(self.latency.buckets)

    def insert(self, writers: Collection[str], order: LiteralString = "event_id") -> None:
        """Insert the events of `writers`, in the order of the key, so that neighbours share pages."""
        if not writers:
            return
        self._writers.update(writers)
        columns = ", ".join(EVENT_COLUMNS)
        query = sql.SQL(
            f"WITH fresh AS (INSERT INTO {EVENTS} ({columns}) SELECT {columns} FROM {{}} WHERE reason IS NULL"
            f" AND writer = ANY(%s::xid8[]) ORDER BY {order} ON CONFLICT (event_id) DO NOTHING"
            # date_part is float8; extract would make a numeric of each.
            " RETURNING greatest(date_part('epoch', now() - event_timestamp), 0) AS seconds)"
            " SELECT width_bucket(seconds, %s::float8[]), count(*), sum(seconds), max(seconds)"
            " FROM fresh GROUP BY 1"
        )
        rows = self.connection.execute(
            query.format(sql.Identifier(self.table)), [list(writers), list(LATENCY_BOUNDS)]
        ).fetchall()
        buckets = [0] * (len(LATENCY_BOUNDS) + 1)
        for bucket, count, _, _ in rows:
            buckets[bucket] = count
        longest = max((seconds for *_, seconds in rows), default=0.0)
        self.latency += Latency(tuple(buckets), sum(row[2] for row in rows), max(longest, 0.0))
        if sum(buckets) < self._valid(writers):
            self.incomplete.update(writers)

    def _valid(self, writers: Collection[str]) -> int:
        query = sql.SQL("SELECT coalesce(sum(valid), 0)::bigint FROM {} WHERE writer = ANY(%s::xid8[])")
        pieces = sql.Identifier(pieces_of(self.table))
        ((valid,),) = self.connection.execute(query.format(pieces), [list(writers)]).fetchall()
        return int(valid)

    def begin_again_unless(self, writers: Collection[str]) -> None:
        """Undo everything when a writer was inserted that is none of `writers`, those that count."""
        if not self._writers <= set(writers):
            self.begin_again(self.table)

    def begin_again(self, table: str) -> None:
        """Undo everything, and take the events from `table`."""
        self.connection.execute("ROLLBACK TO SAVEPOINT empty")
        self.table = table
        self.latency = Latency()
        self._writers.clear()
        self.incomplete.clear()

    def insert_rest(self, writers: Collection[str]) -> None:
        """Insert the events of those writers whose events are not inserted yet."""
        self.insert(set(writers) - self._writers)


@contextmanager
def inserting_early(insertion: Insertion) -> Iterator[None]:
    """Insert what is announced, until the block ends; meanwhile the connection belongs to this.

    Raises at the end what PostgreSQL raised meanwhile, unless the block does.
    """
    ended = Event()
    with ThreadPoolExecutor(1, thread_name_prefix="insertion") as pool:
        following = pool.submit(_follow, insertion, ended)
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


def _follow(insertion: Insertion, ended: Event) -> None:
    """Not by LISTEN: a pooler would hand the server's connection, listening, to another program."""
    announced = sql.SQL("SELECT writer::text, rows FROM {}").format(
        sql.Identifier(pieces_of(insertion.table))
    )
    done: set[str] = set()
    while not ended.wait(_LOOK_SECONDS):
        pieces = dict(insertion.connection.execute(announced).fetchall())
        waiting = pieces.keys() - done
        if waiting and sum(pieces[writer] for writer in waiting) >= _LEAST_SHARE * sum(pieces.values()):
            insertion.insert(waiting)
            done |= waiting
