"""Metrics of the e-commerce pipeline beside its batches: how old events are when they are inserted."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.metrics import Metrics


class EventLatency:
    """Fills metrics of `metrics`, which writes them with the batch that follows."""

    def __init__(self, metrics: Metrics, bounds: Sequence[float]) -> None:
        """Make the metrics; `bounds` are the upper bounds in seconds of the buckets of `observe`."""
        self._registry = metrics.registry
        text = "Seconds from an event's timestamp to its insertion"
        self._latency = self._registry.histogram("event_latency_seconds", text, bounds)
        text = "Greatest latency of an event of the last batch, in seconds"
        self._greatest = self._registry.gauge("event_latency_max_seconds", text)

    def observe(self, buckets: Sequence[int], total_seconds: float, max_seconds: float) -> None:
        """Take the events of a batch: their number by bucket (the last is above all bounds), sum, maximum."""
        self._registry.observe_many(self._latency, buckets, total_seconds)
        self._greatest.set(max_seconds)
