"""The queue of messages for Kafka in the accountant's file: waiting ones, sent ones, refused ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from accounting.books import utc_now
from accounting.database import BooksDatabase
from accounting.messages import time_text

WAITING, SENT, FAILED = "waiting", "sent", "failed"
_RECENT: Final = 20


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send: `number` is its row in the outbox, and the order in which things were entered."""

    number: int
    kind: str
    key: str
    payload: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of the outbox for people; times are ISO UTC texts."""

    number: int
    kind: str
    key: str
    state: str
    queued_at: str
    sent_at: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class OutboxState:
    """The number of rows in each state, the fault that stops sending and its time, failed and newest rows."""

    counts: Mapping[str, int]
    fault: str | None
    fault_since: str | None
    letters: list[Letter]


class Outbox:
    """Rows of the outbox. Every method raises BooksError when the file cannot be used."""

    def __init__(self, database: BooksDatabase, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = now

    def waiting(self, limit: int) -> list[Message]:
        """The next messages, in the order in which they were queued."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT outbox.id, kind, key, payload FROM outbox JOIN events ON events.id = event_id "
                "WHERE state = 'waiting' ORDER BY outbox.id LIMIT ?",
                (limit,),
            )
            return [Message(*row) for row in rows]

    def settle(self, sent: Iterable[int], failed: Mapping[int, str], fault: str | None) -> None:
        """Note the rows that the broker acknowledged or refused (why), and the `fault` that stops sending."""
        now = time_text(self._now())
        with self._database.write() as connection:
            connection.executemany(
                "UPDATE outbox SET state = 'sent', sent_at = ?, reason = NULL WHERE id = ?",
                [(now, number) for number in sent],
            )
            connection.executemany(
                "UPDATE outbox SET state = 'failed', reason = ? WHERE id = ?",
                [(reason, number) for number, reason in failed.items()],
            )
            connection.execute(
                # Other words for a fault do not make it a new one.
                "UPDATE sender SET fault = :fault, since = iif(:fault IS NULL, NULL, coalesce(since, :now)) "
                "WHERE fault IS NOT :fault",
                {"fault": fault, "now": now},
            )

    def state(self) -> OutboxState:
        """Counts, the fault, the newest failed rows and then the newest others."""
        with self._database.read() as connection:
            counts = dict.fromkeys((WAITING, SENT, FAILED), 0)
            counts |= dict(
                map(tuple, connection.execute("SELECT state, count(*) FROM outbox GROUP BY state"))
            )
            fault = connection.execute("SELECT fault, since FROM sender").fetchone()
            letters = _letters(connection, "= 'failed'") + _letters(connection, "<> 'failed'")
            return OutboxState(counts, fault["fault"], fault["since"], letters)

    def count_between(self, first: date | None, last: date | None) -> int:
        """Count the messages entered from `first` to `last`, days of UTC, both included; None is open."""
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT count(*) FROM events WHERE entered_at >= ? AND entered_at < ?", _span(first, last)
            )
            return int(found.fetchone()[0])

    def resend(self, first: date | None, last: date | None) -> int:
        """Queue the messages of the UTC days `first` to `last` again, in their order; returns how many.

        Messages that still wait are not queued twice.
        """
        with self._database.write() as connection:
            added = connection.execute(
                "INSERT INTO outbox (event_id, queued_at) SELECT id, ? FROM events "
                "WHERE entered_at >= ? AND entered_at < ? AND NOT EXISTS "
                "(SELECT 1 FROM outbox WHERE event_id = events.id AND state = 'waiting') ORDER BY id",
                (time_text(self._now()), *_span(first, last)),
            )
            return added.rowcount

    def retry_failed(self) -> int:
        """Let the rows that Kafka refused wait again; returns how many."""
        with self._database.write() as connection:
            changed = connection.execute(
                "UPDATE outbox SET state = 'waiting', reason = NULL WHERE state = 'failed'"
            )
            return changed.rowcount


def _span(first: date | None, last: date | None) -> tuple[str, str]:
    beyond = "A" if last is None or last == date.max else (last + timedelta(days=1)).isoformat()
    return (first.isoformat() if first else "", beyond)


def _letters(connection: sqlite3.Connection, condition: str) -> list[Letter]:
    rows = connection.execute(
        "SELECT outbox.id, kind, key, state, queued_at, sent_at, reason FROM outbox "
        f"JOIN events ON events.id = event_id WHERE state {condition} ORDER BY outbox.id DESC LIMIT {_RECENT}"
    )
    return [Letter(*row) for row in rows]
