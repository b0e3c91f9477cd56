"""Metrics of the streaming queries, from the progress that Spark itself reports."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession
from pyspark.sql.streaming.listener import StreamingQueryListener

from monitoring.metrics import Metrics

if TYPE_CHECKING:
    from pyspark.sql.streaming.listener import (
        QueryIdleEvent,
        QueryProgressEvent,
        QueryStartedEvent,
        QueryTerminatedEvent,
    )

_TRIGGER_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
# Spark reports the end of a query on a thread of its own, soon after the query has ended.
_SETTLE_SECONDS = 5.0


class QueryMetrics(StreamingQueryListener):
    """Fills metrics of `metrics`, which writes them with the next batch or poll."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        registry = metrics.registry
        text = "Rows that the triggers of a streaming query read"
        self._rows = registry.counter("query_input_rows_total", text, ["query"])
        text = "Wall time of one trigger of a streaming query, in seconds"
        self._duration = registry.histogram(
            "query_trigger_duration_seconds", text, _TRIGGER_SECONDS, ["query"]
        )
        text = "Streaming queries that ended, by outcome: stopped on purpose or failed"
        self._terminated = registry.counter("query_terminated_total", text, ["query", "outcome"])
        self._names: dict[str, str] = {}
        self._ended = threading.Condition()

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802 - Spark's name
        """Count a query that runs from now on."""
        name = event.name or str(event.id)
        with self._ended:
            self._names[str(event.runId)] = name
        # Present from the start, so that the first increase can be seen.
        for outcome in ("stopped", "failed"):
            self._terminated.labels(name, outcome)
        self._rows.labels(name)

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802 - Spark's name
        """Take the figures of a trigger that is done."""
        progress = event.progress
        name = progress.name or str(progress.id)
        self._rows.labels(name).inc(max(0, progress.numInputRows))
        self._duration.labels(name).observe(progress.durationMs.get("triggerExecution", 0) / 1000)

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802 - Spark's name
        """Count nothing."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802 - Spark's name
        """Count the end of a query, and whether it was stopped or failed."""
        with self._ended:
            name = self._names.pop(str(event.runId), str(event.id))
            self._terminated.labels(name, "failed" if event.exception else "stopped").inc()
            self._ended.notify_all()

    def settle(self, seconds: float = _SETTLE_SECONDS) -> None:
        """Wait up to `seconds` until Spark has reported the end of each query whose start it reported."""
        with self._ended:
            self._ended.wait_for(lambda: not self._names, seconds)


@contextmanager
def measured_queries(spark: SparkSession, listener: QueryMetrics) -> Iterator[None]:
    """Measure the queries of the block, at whose end they are all stopped; then the file is written."""
    spark.streams.addListener(listener)
    try:
        yield
    finally:
        listener.settle()
        spark.streams.removeListener(listener)
        listener.metrics.write()
