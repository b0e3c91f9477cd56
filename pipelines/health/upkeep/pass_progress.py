"""Keeps in the checkpoint how far a pass over all users is: a killed one goes on. Logs it; holds a rate."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, overload

from bson import ObjectId
from bson.errors import InvalidId

from checkpoint.store import FULL, RECONCILIATION, CheckpointStore
from checkpoint.timestamp_text import format_timestamp, parse_timestamp
from contracts.health_metric_file import shipped
from contracts.health_metrics import METRICS
from monitoring.logs import get_logger
from pipelines.health.upkeep.catalogue import catalogue_name, note_catalogue

logger = get_logger(__name__)

_ID_BYTES = 12
_TELL_SECONDS = 10.0
# What a pass is called where it is told.
_NAMES = {FULL: "full pass", RECONCILIATION: "reconciliation"}
# Users that an older pass had done may be stale again.
_RESUME_WITHIN = timedelta(days=1)
# A limited pass rests after each second's or so worth of users, instead of after bursts.
_PIECE_SECONDS = 2.0


class UserIds(Sequence[ObjectId]):
    """Sorted ids in 12 bytes each: a million users are 12 MB."""

    def __init__(self, ids: Iterable[ObjectId]) -> None:
        self._bytes = b"".join(user.binary for user in ids)

    def __len__(self) -> int:
        return len(self._bytes) // _ID_BYTES

    @overload
    def __getitem__(self, index: int) -> ObjectId: ...
    @overload
    def __getitem__(self, index: slice) -> list[ObjectId]: ...
    def __getitem__(self, index: int | slice) -> ObjectId | list[ObjectId]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return ObjectId(self._bytes[index * _ID_BYTES : (index + 1) * _ID_BYTES])

    def __contains__(self, user: object) -> bool:
        if not isinstance(user, ObjectId):
            return False
        place = bisect_left(self, user)
        return place < len(self) and self[place] == user


class PassProgress:
    """One pass after another; each is either begun anew or goes on where a killed or stopped one was."""

    def __init__(
        self,
        store: CheckpointStore,
        piece_size: Callable[[int], int],
        users_per_second: float = 0.0,
        topic: str = FULL,
    ) -> None:
        """Take `piece_size` of the number of users at once; `users_per_second` 0 is no limit.

        Passes of one `topic` go on with each other.
        """
        self._topic, self._name = topic, _NAMES[topic]
        self._store = store
        self._piece_size = piece_size
        self._rate = users_per_second
        self._started: datetime
        self._ids = UserIds(())
        self._first = self._done = 0
        self._began = self._told = 0.0

    def begin(self, ids: UserIds, now: datetime) -> datetime:
        """Start on `ids`, or go on; returns the moment at which this pass was begun for the first time."""
        notes = self._store.read_notes(self._topic)
        # Who was computed by another catalogue is to be computed again.
        same = notes.get("catalogue", catalogue_name(shipped())) == catalogue_name(METRICS)
        found = _position(notes, now) if same else None
        self._ids, self._first, self._started = ids, 0, now
        if found is not None:
            self._started, last = found
            self._first = bisect_right(ids, last)
            logger.info(
                f"⏩ Going on with the {self._name} of {format_timestamp(self._started)}: "
                f"{self._first:,} of {len(ids):,} users are done"
            )
        self._done = self._first
        self._began = self._told = time.monotonic()
        return self._started

    @property
    def before(self) -> ObjectId | None:
        """The last user who is done; None at the begin."""
        return self._ids[self._done - 1] if self._done else None

    @property
    def position(self) -> tuple[int, int]:
        """How many users are done, and how many there are."""
        return self._done, len(self._ids)

    def piece(self) -> list[ObjectId]:
        """The next users; empty at the end."""
        size = self._piece_size(len(self._ids))
        if self._rate:
            size = max(1, min(size, round(self._rate * _PIECE_SECONDS)))
        return self._ids[self._done : self._done + size]

    def advance(self, users: Sequence[ObjectId], wait: Callable[[float], object]) -> None:
        """Note that `users` are done, for good; then `wait` for the seconds that the rate asks for."""
        last = {
            "started": format_timestamp(self._started),
            "last_user": str(users[-1]),
            "catalogue": catalogue_name(METRICS),
        }
        self._store.write_notes(last, self._topic)
        self._done += len(users)
        if self._rate:
            early = (self._done - self._first) / self._rate - (time.monotonic() - self._began)
            if early > 0:
                wait(early)
        self._tell(time.monotonic() - self._began)

    def end(self, now: datetime) -> None:
        """Forget the position, so that the next pass begins anew, and note that this one ended `now`.

        After a full pass all results are of the catalogue in use, and that is noted too.
        """
        self.note_end(now)
        if self._topic == FULL:
            note_catalogue(self._store)
        self._store.write_notes({}, self._topic)

    def note_end(self, now: datetime) -> None:
        """Let the last pass have ended at `now`."""
        self._store.write_notes({"ended": format_timestamp(now)}, f"{self._topic}_ended")

    def was_left(self, now: datetime) -> bool:
        """Whether a pass was stopped or killed that a new one would go on with."""
        return _position(self._store.read_notes(self._topic), now) is not None

    def ended(self) -> datetime | None:
        """Returns when the last pass ended; None when that is not known."""
        try:
            return parse_timestamp(str(self._store.read_notes(f"{self._topic}_ended")["ended"]))
        except (KeyError, ValueError):
            return None

    def _tell(self, passed: float) -> None:
        total = len(self._ids)
        if self._done < total and time.monotonic() - self._told < _TELL_SECONDS:
            return
        self._told = time.monotonic()
        rate = (self._done - self._first) / max(passed, 1e-3)
        left = timedelta(seconds=round((total - self._done) / rate)) if rate else "?"
        logger.info(
            f"⏳ {self._name.capitalize()}: {self._done:,} of {total:,} users "
            f"({100 * self._done // total} %), {rate:,.1f} users/s, {left} left"
        )


def _position(notes: dict[str, Any], now: datetime) -> tuple[datetime, ObjectId] | None:
    """Returns when the pass was begun and its last user; None when it is not worth going on with."""
    try:
        # The text of each: an ObjectId of None would be a new one.
        started, last = parse_timestamp(str(notes["started"])), ObjectId(str(notes["last_user"]))
    except (KeyError, ValueError, InvalidId):
        return None
    return (started, last) if timedelta(0) <= now - started < _RESUME_WITHIN else None
