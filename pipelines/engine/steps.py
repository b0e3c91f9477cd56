"""Where a batch's time goes, step by step, and where a test may harm it."""

from __future__ import annotations

import time
from collections.abc import Callable

from pipelines.engine.faults import Faults


class Steps:
    """Wall milliseconds of one batch by step; a step that is repeated is summed.

    They add up to the batch's duration: a step ends where the next one begins.
    """

    def __init__(self, faults: Faults, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.ms: dict[str, float] = {}
        self._faults = faults
        self._monotonic = monotonic
        self._last = monotonic()

    def done(self, step: str) -> None:
        """`step` has ended."""
        now = self._monotonic()
        self.ms[step] = round(self.ms.get(step, 0.0) + (now - self._last) * 1000, 3)
        self._last = now
        self._faults.reach(step)
