"""What receivers were told, and what they were not."""

from __future__ import annotations

from monitoring.metrics import Metrics
from monitoring.receivers.outbox import DROPPED, REFUSED, SENT


class ReceiverMetrics:
    """Counts in `metrics`, which writes it with the next batch or poll."""

    def __init__(self, metrics: Metrics, receivers: tuple[str, ...] = ()) -> None:
        text = "Batches of which a receiver of lineage or traces was to be told, by what became of that"
        self._batches = metrics.registry.counter("receiver_batches_total", text, ["receiver", "outcome"])
        for receiver in receivers:
            for outcome in (SENT, DROPPED, REFUSED):
                self._batches.labels(receiver, outcome)

    def count(self, receiver: str, outcome: str, batches: int) -> None:
        """Count `batches` of one `outcome`."""
        self._batches.labels(receiver, outcome).inc(batches)
