"""Whether the job makes progress (live) and whether its results are fresh (ready).

Times are of the monotonic clock, so that a clock that is set back or forth raises no false alarm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

READY_INTERVALS = 3
# Longer than any one step may take: all tries of a database that does not answer, or 1 000 users on a slow
# machine. The process must not be restarted in the middle of work.
STALL_SECONDS = 600.0
# Sooner nobody looks for other signs of progress.
_QUIET_SECONDS = 30.0


class RunState:
    """The state that the batch thread sets and the probes read; a batch is here one trigger's whole work."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval = interval_seconds
        self._lock = threading.Lock()
        self.started = self._progress = time.monotonic()
        self._running_since: float | None = None
        self._succeeded: float | None = None
        self._failures = 0
        self._sign: Callable[[], object] = lambda: None
        self._seen: object = None

    def watch(self, sign: Callable[[], object]) -> None:
        """Take it for progress whenever `sign()` gives something else than before."""
        self._sign, self._seen = sign, sign()

    def begin(self) -> None:
        """Note that a batch begins."""
        with self._lock:
            self._running_since = self._progress = time.monotonic()

    def progress(self) -> None:
        """Note that a piece of the batch is done."""
        self._progress = time.monotonic()

    def end(self, succeeded: bool) -> None:
        """Note that the batch is over, and whether it `succeeded`, as an idle poll does."""
        with self._lock:
            self._running_since = None
            self._progress = time.monotonic()
            if succeeded:
                self._succeeded = self._progress
                self._failures = 0
            else:
                self._failures += 1

    @property
    def ended(self) -> bool:
        """Whether a batch or an idle poll has ended, however it did."""
        return self._succeeded is not None or self._failures > 0

    @property
    def uptime_seconds(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self.started

    def stale_reasons(self) -> list[str]:
        """Returns sentences why results may be stale; none when a batch succeeded within three intervals.

        The time that a running batch takes does not count, or a long one would look like a standstill.
        """
        with self._lock:
            until = time.monotonic() if self._running_since is None else self._running_since
            since = self.started if self._succeeded is None else self._succeeded
            limit = READY_INTERVALS * self._interval
            reasons = []
            if self._succeeded is None:
                reasons.append("no batch has succeeded yet")
            elif until - since > limit:
                reasons.append(f"no batch succeeded for {until - since:.0f} s, allowed are {limit:g} s")
            if reasons and self._failures:
                reasons.append(f"the last {self._failures} batches failed; the log says why")
            return reasons

    def stall_reasons(self) -> list[str]:
        """Returns sentences why the process ought to be restarted; none while it makes progress."""
        if time.monotonic() - self._progress > _QUIET_SECONDS:
            self._look()
        still, limit = time.monotonic() - self._progress, self._interval + STALL_SECONDS
        return [f"no progress for {still:.0f} s, allowed are {limit:g} s"] if still > limit else []

    def _look(self) -> None:
        # Whoever gives the sign may be what has died.
        with suppress(Exception):
            seen = self._sign()
            if seen != self._seen:
                self._seen = seen
                self.progress()
