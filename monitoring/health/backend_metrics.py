"""Metrics of the notices to the backend."""

from __future__ import annotations

from monitoring.metrics import Metrics


class NoticeMetrics:
    """Fills metrics of `metrics`, which writes them with the next batch or poll."""

    def __init__(self, metrics: Metrics) -> None:
        self._registry = registry = metrics.registry
        text = "Notices to the backend, or users without one, by outcome: sent, or why not"
        self._notices = registry.counter("backend_events_total", text, ["outcome"])
        self._notices.labels("sent")
        text = "Open client connections that notices reached, as the backend answered"
        self._notified = registry.counter("backend_connections_notified_total", text)
        text = "1 while the backend is left alone because it failed several times in a row"
        self._open = registry.gauge("backend_circuit_open", text)
        text = "Users whose notice to the backend was not sent yet"
        self._waiting = registry.gauge("backend_users_waiting", text)

    def count(self, outcome: str, amount: int, notified: int) -> None:
        """Count `amount` notices of one `outcome` that reached `notified` connections."""
        self._registry.count(self._notices, outcome, amount)
        self._notified.inc(notified)

    def show(self, waiting: int, circuit_open: bool) -> None:
        """Set how many users wait, and whether the circuit to the backend is open."""
        self._waiting.set(waiting)
        self._open.set(int(circuit_open))
