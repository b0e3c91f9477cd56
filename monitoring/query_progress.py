"""Logs the progress of a streaming query, and warns when it falls behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql.streaming.query import StreamingQuery

from monitoring.logs import get_logger

_LOG_INTERVAL_BATCHES = 10
# A warning needs this many slow batches in a row; one does not make it.
_IN_A_ROW = 3
# Rates that differ by less are the same.
_TOLERANCE = 0.9

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """One batch as Spark reports it; rates in rows per second, `offsets` as Spark writes them, by source."""

    batch_id: int
    num_input_rows: int
    input_rows_per_second: float
    processed_rows_per_second: float
    batch_duration_ms: int
    offsets: tuple[str, ...]

    @classmethod
    def of(cls, reported: Any) -> Progress:
        """Make a Progress of `reported`, Spark's StreamingQueryProgress."""
        return cls(
            int(reported.batchId),
            int(reported.numInputRows),
            round(float(reported.inputRowsPerSecond or 0.0), 1),
            round(float(reported.processedRowsPerSecond or 0.0), 1),
            int(reported.durationMs.get("triggerExecution", 0)),
            tuple(str(source.endOffset) for source in reported.sources),
        )


class StreamingMetrics:
    """The progress of one query, over its restarts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._last: Progress | None = None
        self._batches = 0
        self._slow = 0
        self._backlog: int | None = None
        self._grew = 0

    def log_metrics(self) -> None:
        """Log the newest batch on one line."""
        if self._last is None:
            return
        logger.info(
            f"📈 Query progress: {self.name}",
            batch_id=self._last.batch_id,
            num_input_rows=self._last.num_input_rows,
            input_rows_per_second=self._last.input_rows_per_second,
            processed_rows_per_second=self._last.processed_rows_per_second,
            batch_duration_ms=self._last.batch_duration_ms,
            offsets=" ".join(self._last.offsets),
        )

    def take(self, progress: Progress) -> bool:
        """Note a batch, unless it is the one noted last; log each tenth. Returns whether it keeps up."""
        if progress != self._last and progress.num_input_rows:
            self._last = progress
            self._batches += 1
            if self._batches % _LOG_INTERVAL_BATCHES == 0:
                self.log_metrics()
            behind = progress.processed_rows_per_second < _TOLERANCE * progress.input_rows_per_second
            self._slow = self._slow + 1 if behind else 0
            if self._slow == _IN_A_ROW:
                logger.warning(
                    f"🐢 {self.name} processes slower than it reads: {progress.processed_rows_per_second:g} "
                    f"against {progress.input_rows_per_second:g} records per second"
                )
        return self._slow < _IN_A_ROW

    def take_backlog(self, records: int) -> bool:
        """Note how many `records` wait. Returns False while that grows again and again."""
        self._grew = self._grew + 1 if self._backlog is not None and records > self._backlog else 0
        self._backlog = records
        if self._grew and self._grew % _IN_A_ROW == 0:
            logger.warning(f"📚 The backlog of {self.name} grows: {records} records wait in Kafka")
        return self._grew < _IN_A_ROW


def monitor_query_health(query: StreamingQuery, metrics: StreamingMetrics, backlog: int | None) -> bool:
    """Look at `query` once: note its progress and `backlog` (None: not known), warn when it does badly.

    Returns False when it is dead or falls behind. A query that was stopped, or came to its end, is not dead.
    """
    if not query.isActive and query.exception() is not None:
        logger.error(f"💀 Query {metrics.name} is dead")
        return False
    reported = query.lastProgress
    keeps_up = metrics.take(Progress.of(reported)) if reported is not None else True
    return (metrics.take_backlog(backlog) if backlog is not None else True) and keeps_up
