"""Notices that this machine's clock was set back: until it has caught up, Spark's triggers would wait."""

from __future__ import annotations

import time
from collections.abc import Callable

# Less only delays a trigger by as much.
_LEAST_SECONDS = 1.0


class SetBack:
    """Says by how many seconds the clock was set back since it was asked before; 0 when it was not.

    `wall` is the clock that people set, `steady` one that nobody can.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._steady = wall, steady
        self._ahead = self._difference()

    def __call__(self) -> float:
        """Look at both clocks again."""
        before, self._ahead = self._ahead, self._difference()
        seconds = before - self._ahead
        return seconds if seconds >= _LEAST_SECONDS else 0.0

    def _difference(self) -> float:
        return self._wall() - self._steady()
