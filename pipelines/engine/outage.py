"""Tells that a server is away, once, and that it is back, with how long it was away."""

from __future__ import annotations

import time
from collections.abc import Callable

from monitoring.logs import get_logger

logger = get_logger(__name__)


class Outage:
    """What is known of one server, `what`, by those who ask it."""

    def __init__(self, what: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._monotonic = monotonic
        self._since: float | None = None

    def away(self, reason: object) -> None:
        """It gave no answer; `reason` says why."""
        if self._since is None:
            self._since = self._monotonic()
            logger.warning(f"🔌 {self._what} is away; it is waited for: {reason}")

    def back(self) -> None:
        """It answered."""
        if self._since is not None:
            passed = self._monotonic() - self._since
            self._since = None
            logger.info(f"🔌 {self._what} is back after {passed:.0f} seconds")
