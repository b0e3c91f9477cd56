"""The sweep: a full pass that the stream makes once in a while, to find deleted days and users."""

from __future__ import annotations

import time
from collections.abc import Callable

from monitoring.logs import get_logger
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.upkeep.full_pass import FullPass

logger = get_logger(__name__)


class Sweep:
    """A full pass every `every_hours` (0: never), counted from the start of the process."""

    def __init__(
        self, full: FullPass, every_hours: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._full = full
        self._every_seconds = every_hours * 3600
        self._monotonic = monotonic
        self._due_at = monotonic() + self._every_seconds

    def run_due(self, stop: StopFlag, between: Callable[[], object]) -> None:
        """Make the pass if the time has come; `between` is called after each piece, for what changed since.

        A pass that fails gets a warning and comes again at its next time: it only repeats what is stored.
        """
        if not self._every_seconds or self._monotonic() < self._due_at:
            return
        self._due_at = self._monotonic() + self._every_seconds
        logger.info("🧹 Sweep: every user is computed again, for what was deleted")
        try:
            removed = self._full.run(stop, between)
        except Exception as error:  # noqa: BLE001 - the boundary: the next drain meets whatever it is
            logger.warning("The sweep failed; it comes again at its next time", reason=type(error).__name__)
            return
        logger.info(f"🧹 Sweep: {removed} documents of users without data removed")
