"""What a pipeline measures of its streams beside the batches: queries that run, backlog, lost records."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.metrics import Metrics


class StreamFlow:
    """Fills metrics of `metrics`, which writes them with the next batch or idle trigger."""

    def __init__(self, metrics: Metrics, streams: Sequence[str]) -> None:
        self.streams = streams
        text = "Whether the streaming query runs: 1, or 0 while it is dead and waits to be restarted"
        self._up = metrics.registry.gauge("query_up", text, ["stream"])

    def up(self, stream: str, runs: bool) -> None:
        """The query runs, or it does not."""
        self._up.labels(stream).set(int(runs))


class KafkaFlow(StreamFlow):
    """Those of streams that read Kafka."""

    def __init__(self, metrics: Metrics, streams: Sequence[str]) -> None:
        super().__init__(metrics, streams)
        registry = metrics.registry
        text = "Records that wait in Kafka: end offsets minus what is processed"
        self._backlog = registry.gauge("backlog_records", text, ["stream"])
        text = "Offsets that Kafka had deleted before they were read, an upper bound of lost records"
        self._lost = registry.counter("offsets_lost_total", text, ["stream"])
        for stream in streams:
            self._lost.labels(stream)

    def waiting(self, stream: str, records: int) -> None:
        """Set the backlog of `stream`: `records` are in Kafka and not processed."""
        self._backlog.labels(stream).set(records)

    def lost(self, stream: str, offsets: int) -> None:
        """Count `offsets` of `stream` that expired before they were read."""
        self._lost.labels(stream).inc(offsets)
