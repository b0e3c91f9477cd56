"""Asks every room how its pipeline is doing, each in a thread of its own, and never waits for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Final

from dashboard.data.condition import State, state_of
from dashboard.page import Page, Room, Verdict
from detached import detached
from monitoring.logs import get_logger

logger = get_logger(__name__)

# A page waits for an answer at most so long; a server that is away takes its own time behind it.
PATIENCE_SECONDS: Final = 1.5


@dataclass(frozen=True)
class Outlook:
    """What is known of a pipeline now; `verdict` is None until it has answered for the first time."""

    verdict: Verdict | None
    state: State
    now: datetime


class Lookout:
    """The verdicts of `rooms`, shared by all sessions; `common` are pages of all pipelines together."""

    def __init__(
        self,
        rooms: Sequence[Room],
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        common: Sequence[Page] = (),
    ) -> None:
        self.rooms = rooms
        self.common = common
        self._now = now
        self._asked: dict[str, Future[None]] = {}
        self._known: dict[str, Verdict] = {}
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Ask those once whose settings are all the default: they may have data all the same."""
        for room in self.rooms:
            if not room.is_set and room.is_there and room.title not in self._asked:
                self._ask(room)

    def of(self, room: Room, patience_seconds: float = PATIENCE_SECONDS) -> Outlook:
        """What is known of the pipeline of `room`, asked anew."""
        return self.all([room], patience_seconds)[room.title]

    def all(
        self, rooms: Sequence[Room] | None = None, patience_seconds: float = PATIENCE_SECONDS
    ) -> Mapping[str, Outlook]:
        """What is known of each of `rooms`, by title; who does not answer in time keeps the last word."""
        chosen = self.rooms if rooms is None else rooms
        wait([self._ask(room) for room in chosen], patience_seconds)
        return {room.title: self._outlook(room) for room in chosen}

    def is_shown(self, room: Room) -> bool:
        """Whether its pipeline is set up here, by what is known already; all are where none is."""
        return self._is_used(room) or not self.is_anything_used()

    def is_anything_used(self) -> bool:
        """Whether any pipeline is set up here."""
        return any(map(self._is_used, self.rooms))

    def _is_used(self, room: Room) -> bool:
        if room.is_set or room.simulation:
            return True
        files = room.files.signs()
        known = self._known.get(room.title)
        return bool(files.worked or files.looked or files.written or (known and known.has_data))

    def _ask(self, room: Room) -> Future[None]:
        with self._lock:
            asked = self._asked.get(room.title)
            if asked is None or asked.done():
                # A pool would keep the process alive at its end, for as long as a server is away.
                asked = self._asked[room.title] = detached(partial(self._answer, room), "lookout")
            return asked

    def _answer(self, room: Room) -> None:
        try:
            found = room.verdict(room.files.signs(), self._now())
        except Exception:
            # What is wrong with one pipeline must not take the others from the page.
            logger.exception(f"The dashboard could not judge the pipeline {room.title}")
            signs = room.files.signs().with_results(None, "Its results cannot be read; the console says why.")
            found = Verdict("", signs, has_data=False)
        self._known[room.title] = found

    def _outlook(self, room: Room) -> Outlook:
        verdict, now = self._known.get(room.title), self._now()
        signs = verdict.signs if verdict else room.files.signs()
        return Outlook(verdict, state_of(signs, now) if verdict else "unknown", now)
