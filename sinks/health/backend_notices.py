"""Tells the backend whose analytics are new: best effort, from a thread of its own, never in the batch's way.

A batch only leaves the ids of the users it wrote. The thread reads what is stored for them just before it
sends, so that a notice tells the truth at that moment: documents that a newer writer kept from being written
are not in it, a user who was recomputed again meanwhile gets one notice instead of two, and waiting costs
100 bytes a user. While the backend is away users wait here, the oldest are dropped when there are too many.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from sinks.health.backend_client import BackendClient, NoticeError
from sinks.health.backend_payloads import PayloadError, batch_updates
from sinks.health.circuit_breaker import CircuitBreaker

MAX_WAITING_USERS = 10_000
_READ_SECONDS = 5.0
_FIELDS = (
    "metricType", "timeRange", "period", "analytics", "historicalData", "calculatedAt", "createdAt",
)  # fmt: skip
_ORDER = [("timeRange", pymongo.ASCENDING), ("metricType", pymongo.ASCENDING)]

# Told once for every notice, or with a number for users that never became one: what became of it (`sent`, or
# why not) and how many open connections heard it.
Outcome = Callable[[str, int, int], None]


class BackendNotices:
    """The waiting users and the thread that tells the backend about them."""

    def __init__(
        self,
        analytics: Collection[dict[str, Any]],
        client: BackendClient,
        breaker: CircuitBreaker,
        closing: threading.Event,
        per_second: float,
        on_outcome: Outcome,
        max_waiting: int = MAX_WAITING_USERS,
    ) -> None:
        self._analytics = analytics
        self._client = client
        self._breaker = breaker
        self._closing = closing
        self._pause = 1.0 / per_second
        self._on_outcome = on_outcome
        self._max_waiting = max_waiting
        self._waiting: OrderedDict[ObjectId, datetime] = OrderedDict()
        self._changed = threading.Condition()
        self._give_up = threading.Event()
        self._thread = threading.Thread(target=self._work, name="backend-notices", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def publish(self, users: Sequence[ObjectId], calculated_at: datetime) -> None:
        """Queue a notice for each of `users`, with analytics of `calculated_at`; never waits or raises."""
        with self._changed:
            for user in users:
                self._waiting[user] = calculated_at
            too_many = len(self._waiting) - self._max_waiting
            for _ in range(too_many):
                self._waiting.popitem(last=False)
            self._changed.notify()
        if too_many > 0:
            self._on_outcome("queue_full", too_many, 0)

    @property
    def waiting(self) -> int:
        """The number of users whose notice was not sent yet."""
        return len(self._waiting)

    def close(self, seconds: float) -> None:
        """Send what waits for at most `seconds`, drop the rest and end the thread; further calls do nothing.

        A request that is under way then is left to itself, so the process can end.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        with self._changed:
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)
        self._give_up.set()
        with self._changed:
            left = len(self._waiting)
            self._waiting.clear()
        if left:
            self._on_outcome("shutdown", left, 0)
        self._client.close()

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            started = time.monotonic()
            self._tell(*entry)
            self._rest(started)

    def _next(self) -> tuple[ObjectId, datetime] | None:
        """Returns the user who waited longest, once the backend may be asked; None at the end."""
        with self._changed:
            while not self._waiting or self._breaker.wait_seconds() > 0:
                # The end of the process does not wait for a backend that is away.
                if self._closing.is_set():
                    return None
                self._changed.wait(self._breaker.wait_seconds() or None)
            return None if self._give_up.is_set() else self._waiting.popitem(last=False)

    def _tell(self, user: ObjectId, calculated_at: datetime) -> None:
        """Send what is stored for `user`; count every failure as an outcome and never raise."""
        try:
            documents = self._stored(user, calculated_at)
            bodies = batch_updates(user, documents, calculated_at, datetime.now(timezone.utc))
            self._send(bodies)
        except PyMongoError:
            self._on_outcome("database_error", 1, 0)
        except PayloadError:
            self._on_outcome("not_encodable", 1, 0)
        except Exception:  # noqa: BLE001 - the boundary: a thread that died would end all notices unseen
            self._on_outcome("error", 1, 0)

    def _stored(self, user: ObjectId, calculated_at: datetime) -> list[dict[str, Any]]:
        """The user's documents of that calculation, by the prefix of the unique index."""
        with pymongo.timeout(_READ_SECONDS):
            mine = {"userId": user, "calculatedAt": calculated_at}
            return list(self._analytics.find(mine, dict.fromkeys(_FIELDS, 1)).sort(_ORDER))

    def _send(self, bodies: Sequence[bytes]) -> None:
        if not bodies:
            self._on_outcome("nothing_stored", 1, 0)
        for number, body in enumerate(bodies):
            started = time.monotonic()
            try:
                notified = self._client.send(body)
            except NoticeError as error:
                self._on_outcome(error.reason, 1, 0)
                if self._closing.is_set():
                    # The process wants to end, and the next notice would take as long to fail.
                    self._give_up.set()
                    return
            else:
                self._on_outcome("sent", 1, notified)
            if number < len(bodies) - 1:
                self._rest(started)

    def _rest(self, started: float) -> None:
        """Wait until the next notice is due, counted from `started`: the rate holds for reading, too."""
        self._give_up.wait(max(0.0, started + self._pause - time.monotonic()))
