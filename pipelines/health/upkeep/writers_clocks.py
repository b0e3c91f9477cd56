"""Looks every few minutes whether documents wait because the clock of their writer is fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from monitoring.health.poll_metrics import PollMetrics
from monitoring.logs import get_logger
from pipelines.engine.due import Due
from sources.health.census import look_ahead

logger = get_logger(__name__)

_EVERY_SECONDS = 300.0
# Fewer seconds are shown by the metric alone.
_TOLD_SECONDS = 300.0


@dataclass
class WritersClocks:
    """Measures how many documents are dated up to a day ahead, and how far; warns once when it is far."""

    source: Collection[dict[str, Any]]
    metrics: PollMetrics
    _is_due: Due = field(default_factory=lambda: Due(_EVERY_SECONDS))
    _told: bool = False

    def look_due(self, now: datetime) -> None:
        """Look if the time has come; `now` is the server's. A server that fails is asked again later."""
        if not self._is_due():
            return
        try:
            ahead = look_ahead(self.source, now)
        except PyMongoError as error:  # measuring must not stop the work
            logger.warning("Documents dated ahead could not be counted", reason=type(error).__name__)
            return
        self.metrics.ahead(ahead.count, ahead.seconds)
        is_much = ahead.seconds > _TOLD_SECONDS
        if is_much and not self._told:
            logger.warning(
                f"⏰ {ahead.count} documents are dated ahead, the farthest by {ahead.seconds / 60:.0f} "
                "minutes; each waits until then: the clock or time zone of the host that writes them is wrong"
            )
        self._told = is_much
