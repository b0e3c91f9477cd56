"""Makes a full pass beside the stream once in a while, for days and users that were deleted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from contracts import StoppedError
from monitoring.logs import get_logger
from monitoring.run_state import RunState
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.upkeep.full_pass import FullPass

logger = get_logger(__name__)

# A pass that failed goes on where it was, once its server had time to come back.
_AGAIN_SECONDS = 600.0


@dataclass
class Sweep:
    """Runs `full` every `every_seconds` (0: never) after the last full pass, also over restarts."""

    full: FullPass
    state: RunState
    every_seconds: float
    _at: float | None = None

    def run_due(self, stop: StopFlag, between: Callable[[], object]) -> None:
        """Make the pass if its time has come; `between` is called after each piece.

        To be called by the thread that processes batches, between two of them. A pass that fails gets a
        warning and comes again soon.
        """
        if not self.every_seconds or (self._at is not None and time.monotonic() < self._at):
            return
        try:
            if self._at is None:
                self._at = time.monotonic() + self._seconds_left()
            if time.monotonic() >= self._at:
                self._run(stop, between)
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001 - the boundary: the next drain meets whatever it is
            self._at = time.monotonic() + min(self.every_seconds, _AGAIN_SECONDS)
            logger.warning("The sweep failed; it goes on in a while", reason=type(error).__name__)

    def _seconds_left(self) -> float:
        """Returns how long it is to the next pass, at the start of the process."""
        now, ended = self.full.clock.now(), self.full.progress.ended()
        # One of the future was noted before the server's clock was set back.
        if ended is None or ended > now:
            self.full.progress.note_end(now)
            return self.every_seconds
        return self.every_seconds - (now - ended).total_seconds()

    def _run(self, stop: StopFlag, between: Callable[[], object]) -> None:
        logger.info("🧹 Sweep: every user is computed again, for what was deleted")
        # For the probes it is one long batch.
        self.state.begin()
        is_done = False
        try:
            removed = self.full.run(stop, between)
            is_done = True
        finally:
            self.state.end(is_done)
        self._at = time.monotonic() + self.every_seconds
        if not stop():
            logger.info(f"🧹 Sweep: {removed} documents of users without data removed")
