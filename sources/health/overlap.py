"""How far behind the cursor a poll looks again: a number that is given, or one that follows what comes late.

What is measured is what is needed: how long before the end of an earlier poll a document is dated that this
poll found. A later one than the overlap is missed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

FLOOR_SECONDS: Final = 30.0
CEILING_SECONDS: Final = 900.0
# Where nothing is known yet.
START_SECONDS: Final = 60.0
# Of the late commits of a day this share is to come within half of the overlap.
_SHARE: Final = 0.99
_MARGIN: Final = 2.0
_HALF_LIFE_SECONDS: Final = 86_400.0
# It narrows by half in this time at the most.
_NARROWS_SECONDS: Final = 21_600.0
# Late commits are counted by classes, each by a quarter longer than the one before.
_FACTOR: Final = 1.25
# Told and kept where it differs by more than this from what was told last.
_TOLD: Final = 1.1

Told = Callable[[float, str], None]


class Overlap:
    """A fixed overlap of `seconds`."""

    def __init__(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("an overlap must be at least 0 seconds")
        self._seconds = seconds

    @property
    def seconds(self) -> float:
        """How far to look back now."""
        return self._seconds

    @property
    def length(self) -> timedelta:
        """The same."""
        return timedelta(seconds=self.seconds)

    def observe(self, late_seconds: Iterable[float]) -> None:
        """Take how late the documents were that a poll found late; to be called after each poll."""

    def missed(self) -> None:
        """Take note that a document came later than the overlap."""


class MeasuredOverlap(Overlap):
    """Twice what 99 % of the late commits of the last days needed, between a floor and a ceiling.

    One that needs more than half of it widens it at once; it narrows slowly. `tell` gets the seconds and why,
    when they have changed by a tenth; whoever keeps them passes them as `seconds` the next time.
    """

    def __init__(self, tell: Told, seconds: float = START_SECONDS) -> None:
        super().__init__(_bounded(seconds))
        self._tell = tell
        self._told = self._seconds
        # By class of lateness: the number, of which half is forgotten in a day.
        self._late: dict[int, float] = {}
        self._at = time.monotonic()

    def observe(self, late_seconds: Iterable[float]) -> None:
        """Take how late the documents were that a poll found late; to be called after each poll."""
        self._forget()
        latest = 0.0
        for seconds in late_seconds:
            place = math.ceil(math.log(max(seconds, 1e-3), _FACTOR))
            self._late[place] = self._late.get(place, 0.0) + 1.0
            latest = max(latest, seconds)
        if _MARGIN * latest > self._seconds:
            self._become(_MARGIN * latest, f"a commit came {latest:.1f} s late")
        else:
            self._keep_told("late commits have become rarer or shorter")

    def missed(self) -> None:
        """Take note that a document came later than the overlap: how much later is not known."""
        self._become(2 * self._seconds, "a document was committed later than the overlap")

    def _forget(self) -> None:
        """Narrow by the time that has passed, not below what is needed."""
        passed, self._at = time.monotonic() - self._at, time.monotonic()
        left = 0.5 ** (passed / _HALF_LIFE_SECONDS)
        self._late = {place: many * left for place, many in self._late.items() if many * left > 1e-3}
        needed = _bounded(_MARGIN * self._quantile())
        if needed < self._seconds:
            self._seconds = max(needed, self._seconds * 0.5 ** (passed / _NARROWS_SECONDS))

    def _quantile(self) -> float:
        """The upper end of the class in which `_SHARE` of the late commits is reached; 0 without any."""
        rest = _SHARE * sum(self._late.values())
        for place in sorted(self._late):
            rest -= self._late[place]
            if rest <= 0:
                return float(_FACTOR**place)
        return 0.0

    def _become(self, seconds: float, why: str) -> None:
        self._seconds = max(self._seconds, _bounded(seconds))
        self._keep_told(why)

    def _keep_told(self, why: str) -> None:
        ratio = self._seconds / self._told
        if not 1 / _TOLD <= ratio <= _TOLD:
            self._told = self._seconds
            self._tell(self._seconds, why)


def _bounded(seconds: float) -> float:
    return min(max(seconds, FLOOR_SECONDS), CEILING_SECONDS)
