"""Metrics of what is told once, when it is new."""

from __future__ import annotations

from monitoring.metrics import Metrics


class TellingMetrics:
    """Fills metrics of `metrics`, which writes them with the next batch or poll."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        text = "Tries to tell something new, by receiver and outcome: sent, or why not"
        self._tries = registry.counter("notices_total", text, ["receiver", "outcome"])
        text = "Dead letters of notices that a receiver refused, or did not take for three days"
        self._letters = registry.counter("notice_letters_total", text, ["receiver"])
        text = "People for whom something new waits to be told, also during their quiet hours"
        self._waiting = registry.gauge("notice_people_waiting", text)
        text = "1 while a receiver is left alone because it failed several times in a row"
        self._open = registry.gauge("notice_circuit_open", text, ["receiver"])

    def begin(self, receiver: str) -> None:
        """Show the counters of `receiver` before anything happens, so that a rise is seen."""
        self._tries.labels(receiver, "sent")
        self._letters.labels(receiver)
        self._open.labels(receiver).set(0)

    def tried(self, receiver: str, outcome: str) -> None:
        """Count a try and its outcome."""
        self._tries.labels(receiver, outcome).inc()

    def letter(self, receiver: str) -> None:
        """Count a letter."""
        self._letters.labels(receiver).inc()

    def show(self, waiting: int, receiver_open: dict[str, bool]) -> None:
        """Set how many people wait, and which receivers are left alone."""
        self._waiting.set(waiting)
        for receiver, is_open in receiver_open.items():
            self._open.labels(receiver).set(int(is_open))
