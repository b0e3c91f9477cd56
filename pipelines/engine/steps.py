"""Where a batch's time goes, step by step, and where a test may harm it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipelines.engine.faults import Faults


class Steps:
    """Wall milliseconds of one batch by step; a step that is repeated is summed.

    They add up to the batch's duration: a step ends where the next one begins. `order` are the names of all
    steps, of which some may be left out; inside a `with` the one that fails has its time too.
    """

    def __init__(self, faults: Faults, order: Sequence[str] = ()) -> None:
        self.ms: dict[str, float] = {}
        self._faults = faults
        self._order = order
        self._step: str | None = None
        self._next = order[0] if order else None
        self._began = self._last = time.monotonic()
        self._ended: float | None = None

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed:
            self.broke_off()
            self._ended = self._last

    @property
    def running(self) -> str | None:
        """The step that has begun."""
        return self._next

    def passed_ms(self) -> float:
        """The milliseconds since the batch began, until it failed."""
        return ((self._ended or time.monotonic()) - self._began) * 1000

    def at(self, step: str) -> None:
        """`step` begins, although others come before it in the order."""
        self._next = step

    def done(self, step: str) -> None:
        """`step` has ended."""
        self._add(step)
        after = self._order[self._order.index(step) + 1 :] if step in self._order else ()
        self._next = after[0] if after else step
        self._faults.reach(step)

    def broke_off(self) -> None:
        """The step that had begun ends before it is done, and the first one is next."""
        if self._next is not None:
            self._add(self._next)
            self._next = self._order[0]

    def end(self) -> None:
        """The batch has ended: what was tidied up after the last step counts for that one."""
        if self._step is not None:
            self._add(self._step)

    def _add(self, step: str) -> None:
        now = time.monotonic()
        self.ms[step] = round(self.ms.get(step, 0.0) + (now - self._last) * 1000, 3)
        self._last, self._step = now, step
