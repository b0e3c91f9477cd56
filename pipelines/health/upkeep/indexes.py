"""Looks after the indexes while the stream runs: others drop them, or a whole collection with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo.collection import Collection

from contracts import ServiceError
from monitoring.health.index_metrics import IndexMetrics
from monitoring.logs import get_logger
from pipelines.engine.due import Due
from sinks.health.indexes import Mended, ensure_indexes, missing_indexes
from sinks.mongo_errors import denial
from sources.health.inspection import has_index_on
from sources.health.poll import MongoPoll

logger = get_logger(__name__)

# A look costs two commands that read no data.
_EVERY_SECONDS = 120.0
POLL_INDEX, HISTORY_INDEX = "poll", "history"
# What others have to make: what its absence costs, and the command.
_OF_OTHERS = {
    POLL_INDEX: (
        "The index {{updatedAt: 1, _id: 1}} of {0} is missing and MANAGE_SOURCE_INDEX is false: every poll "
        "reads everything. mongosh: db.{0}.createIndex({{updatedAt: 1, _id: 1}})"
    ),
    HISTORY_INDEX: (
        "No index of {0} begins with userId: every recomputation of a user reads everything. mongosh: "
        "db.{0}.createIndex({{userId: 1, date: 1}}, {{unique: true}})"
    ),
}


@dataclass
class IndexUpkeep:
    """Makes the results' indexes that are missing, and the poll's too if it `manages_source`.

    The one by which histories are read is the backend's: its absence is told.
    """

    source: Collection[dict[str, Any]]
    target: Collection[dict[str, Any]]
    poll: MongoPoll
    manages_source: bool
    metrics: IndexMetrics
    _is_due: Due = field(default_factory=lambda: Due(_EVERY_SECONDS))
    _told: str = ""

    def run_due(self) -> None:
        """Look and mend if the time has come; to be called by the thread that processes batches.

        A fault that cannot be mended is logged once, counted by the metric, and tried again at the next look.
        """
        if not self._is_due():
            return
        try:
            self.run()
        except Exception as error:  # noqa: BLE001 - the boundary: the batches go on without an index
            cause = str(error) if isinstance(error, ServiceError) else denial(error) or type(error).__name__
            self._tell(f"The indexes could not be looked after; it is tried again: {cause}")

    def run(self) -> None:
        """Look and mend now. Raises ServiceError and pymongo's errors."""
        missing, poll_is_missing = missing_indexes(self.target), not self.poll.has_index()
        of_others = [] if has_index_on(self.source, "userId") else [HISTORY_INDEX]
        if poll_is_missing and not self.manages_source:
            of_others.append(POLL_INDEX)
        # Before anything is made: that may fail, or take long.
        self.metrics.missing([*missing, *([POLL_INDEX] if poll_is_missing else []), *of_others])
        if poll_is_missing and self.manages_source:
            self.poll.ensure_index()
            self._made([POLL_INDEX])
        if missing:
            mended = ensure_indexes(self.target)
            self._made(mended.made)
            self.removed(mended)
        self.metrics.missing(of_others)
        self._tell("\n".join(_OF_OTHERS[name].format(self.source.name) for name in of_others))

    def _made(self, names: Sequence[str]) -> None:
        self.metrics.made(names)
        logger.warning(f"🧱 Indexes were missing and are made again: {', '.join(names)}")

    def removed(self, mended: Mended) -> None:
        """Log and count the results that were removed because newer ones had their keys."""
        if mended.duplicates:
            self.metrics.removed(mended.duplicates)
            logger.warning(
                f"🧹 {mended.duplicates} documents of {self.target.name} shared their key (user, range, "
                "metric) with a newer one and were removed"
            )

    def _tell(self, text: str) -> None:
        if text and text != self._told:
            logger.warning(text)
        self._told = text
