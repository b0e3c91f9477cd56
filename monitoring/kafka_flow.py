"""Metrics of a pipeline that reads Kafka, beside its batches: backlog, lost records, queries that run."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.metrics import Metrics


class KafkaFlow:
    """Fills metrics of `metrics`, which writes them with the next batch or idle trigger."""

    def __init__(self, metrics: Metrics, streams: Sequence[str]) -> None:
        registry = metrics.registry
        text = "Records that wait in Kafka: end offsets minus what is processed"
        self._backlog = registry.gauge("backlog_records", text, ["stream"])
        text = "Offsets that Kafka had deleted before they were read, an upper bound of lost records"
        self._lost = registry.counter("offsets_lost_total", text, ["stream"])
        text = "Whether the streaming query runs: 1, or 0 while it is dead and waits to be restarted"
        self._up = registry.gauge("query_up", text, ["stream"])
        for stream in streams:
            self._lost.labels(stream)

    def waiting(self, stream: str, records: int) -> None:
        """Set the backlog of `stream`: `records` are in Kafka and not processed."""
        self._backlog.labels(stream).set(records)

    def lost(self, stream: str, offsets: int) -> None:
        """Count `offsets` of `stream` that expired before they were read."""
        self._lost.labels(stream).inc(offsets)

    def up(self, stream: str, runs: bool) -> None:
        """Set whether the query of `stream` runs."""
        self._up.labels(stream).set(int(runs))
