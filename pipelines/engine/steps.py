"""Where a batch's time goes, step by step, and where a test may harm it."""

from __future__ import annotations

import time

from pipelines.engine.faults import Faults


class Steps:
    """Wall milliseconds of one batch by step; a step that is repeated is summed.

    They add up to the batch's duration: a step ends where the next one begins.
    """

    def __init__(self, faults: Faults) -> None:
        self.ms: dict[str, float] = {}
        self._faults = faults
        self._step: str | None = None
        self._began = self._last = time.monotonic()

    def passed_ms(self) -> float:
        """The milliseconds since the batch began."""
        return (time.monotonic() - self._began) * 1000

    def done(self, step: str) -> None:
        """`step` has ended."""
        self._add(step)
        self._faults.reach(step)

    def end(self) -> None:
        """The batch has ended: what was tidied up after the last step counts for that one."""
        if self._step is not None:
            self._add(self._step)

    def _add(self, step: str) -> None:
        now = time.monotonic()
        self.ms[step] = round(self.ms.get(step, 0.0) + (now - self._last) * 1000, 3)
        self._last, self._step = now, step
