"""Finds what is new and tells it, from a thread of its own, never in a batch's way.

A batch only leaves the ids of the users it wrote, in memory, at most MAX_WAITING_USERS. All else is in the
database: what is known of a person and what waits to be told are one document, so that a restart goes on
where this was. Users whose ids were lost with the process, or did not find room, are found by the time of
their calculation: `looked_at` moves on only when nobody waits.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

import pymongo
from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from analytics.health.documents import midnight
from contracts import DeadLetterError
from pipelines.health.telling.delivery import Delivery
from pipelines.health.telling.news import News
from pipelines.health.telling.state import Notice, State, state_of
from sinks.health.told_states import ToldStates, users_calculated_since

MAX_WAITING_USERS: Final = 10_000
# Two calculations may end in another order than they began; a look that is repeated finds nothing.
_MARGIN: Final = timedelta(hours=1)
_AT_ONCE: Final = 200
_READ_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 60.0
_TRIES: Final = 3


class Teller:
    """The waiting users, and the thread that looks at their results and delivers what is new."""

    def __init__(
        self,
        results: Collection[dict[str, Any]],
        states: ToldStates,
        news: News,
        delivery: Delivery,
        zone_of: Callable[[ObjectId], ZoneInfo],
        closing: threading.Event,
        *,
        max_waiting: int = MAX_WAITING_USERS,
        clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._results, self._states = results, states
        self._news, self._delivery, self._zone_of = news, delivery, zone_of
        self._closing, self._max_waiting, self._clock = closing, max_waiting, clock
        self._give_up = threading.Event()
        self._users: OrderedDict[ObjectId, datetime] = OrderedDict()
        self._newest: datetime | None = None
        self._noted: datetime | None = None
        self._ready, self._missed = False, True
        self._found: Iterator[ObjectId] | None = None
        self._silence_at: datetime | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="telling", daemon=True)

    def start(self) -> None:
        """Start looking and telling."""
        self._thread.start()

    def publish(self, users: Sequence[ObjectId], calculated_at: datetime) -> None:
        """Let the results of `users`, of `calculated_at`, be looked at; never waits or raises."""
        with self._changed:
            for user in users:
                if len(self._users) < self._max_waiting or user in self._users:
                    self._users[user] = calculated_at
                else:
                    self._missed = True
            self._newest = max(calculated_at, self._newest or calculated_at)
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Look and tell for at most `seconds` more; what is left waits in the database."""
        self._closing.set()
        with self._changed:
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)
        self._give_up.set()

    def again(self, user: ObjectId, notice: Notice) -> None:
        """Let `notice`, of which there is a letter, be told to its receivers again. pymongo's errors pass."""
        self._change(user, lambda state, _own: replace(state, waiting=(*state.waiting, notice)))

    def run_once(self) -> bool:
        """Look at those who wait, then tell what is due; returns whether more can be done at once."""
        if not self._ready:
            self._states.ensure_indexes()
            self._ready = True
        more = self._look()
        if not more:
            # Who has new results that nobody looked at is not silent.
            self._look_for_silence()
        return self._tell() or more

    def _work(self) -> None:
        while True:
            ends = self._closing.is_set()
            try:
                more = self.run_once()
            except (PyMongoError, DeadLetterError):
                self._delivery.note("none", "database_error")
                more = self._begin_anew()
            except Exception:  # noqa: BLE001 - the boundary: a thread that died would end all notices unseen
                self._delivery.note("none", "error")
                more = self._begin_anew()
            if ends and not more:
                return
            if not more:
                with self._changed:
                    if not self._users and not self._closing.is_set():
                        self._changed.wait(_LOOK_SECONDS)

    def _begin_anew(self) -> bool:
        """After an error: who was not looked at is found again. Returns False, because it is not at once."""
        if self._found is not None:
            self._found, self._missed = None, True
        return False

    def _look(self) -> bool:
        with self._changed:
            users, newest = dict(islice(self._users.items(), _AT_ONCE)), self._newest
        for user in users or self._missed_users():
            self._change(user, self._look_at)
        with self._changed:
            for user, moment in users.items():
                # Unless they were calculated again meanwhile.
                if self._users.get(user) == moment:
                    del self._users[user]
            done = not self._users and not self._missed and self._found is None
        if done and newest is not None and newest != self._noted:
            self._states.note_looked_at(newest)
            self._noted = newest
        return not done

    def _missed_users(self) -> list[ObjectId]:
        """The next users with results since `looked_at`; all is looked at where there is none any more."""
        if self._found is None:
            if not self._missed:
                return []
            self._missed, since = False, self._states.looked_at()
            if since is None:
                # Before the first time there is nothing to be behind with.
                self._states.note_looked_at(self._clock())
                return []
            self._found = users_calculated_since(self._results, since - _MARGIN)
        found = list(islice(self._found, _AT_ONCE))
        if not found:
            self._found = None
        return list(dict.fromkeys(found))

    def _look_at(self, state: State, own: ZoneInfo) -> State:
        with pymongo.timeout(_READ_SECONDS):
            results = list(self._results.find({"userId": state.user, "timeRange": "90day"}))
        return self._news.looked(state, results, self._clock(), own)

    def _look_for_silence(self) -> None:
        now = self._clock()
        if self._silence_at is not None and now < self._silence_at:
            return
        found = self._states.silent(midnight(self._news.today(now)))
        for document in found:
            self._change(document["_id"], lambda state, own: self._news.silent(state, now, own), anew=True)
        if not found:
            self._silence_at = now + timedelta(seconds=_SILENCE_SECONDS)

    def _tell(self) -> bool:
        """Deliver what is due; returns whether there was anything."""
        now = self._clock()
        found = self._states.due(now)
        for document in found:
            if self._give_up.is_set():
                return False
            self._change(
                document["_id"], lambda state, own: self._delivery.deliver(state, self._clock(), own)
            )
        return bool(found)

    def _change(self, user: ObjectId, change: Callable[[State, ZoneInfo], State], anew: bool = False) -> None:
        """Store what `change` makes of the state of `user`; read it again where another one was faster.

        With `anew` it is stored also as it was: rules that changed move the times by which it is found.
        """
        try:
            own = self._zone_of(user)
            for _ in range(_TRIES):
                state = state_of(self._states.read(user))
                changed = change(state, own)
                if (changed == state and not anew) or self._states.write(changed.document()):
                    return
        except (PyMongoError, DeadLetterError):
            raise
        except Exception:  # noqa: BLE001 - what is stored of one person must not silence the others
            self._delivery.note("none", "error")
