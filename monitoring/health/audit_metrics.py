"""Metrics of the data itself, measured once in a while: unseen documents, and source against results."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from monitoring.metrics import Metrics


class AuditMetrics:
    """Fills metrics of `metrics`, which writes them with the next batch or poll; they outlive a restart."""

    def __init__(self, metrics: Metrics, every_seconds: float) -> None:
        gauge = metrics.registry.gauge
        text = "Documents that the poll cannot see, or not before their time, by kind"
        self._unseen = gauge("unseen_documents", text, ["kind"], kept=True)
        text = "Users with documents in the source, and users with analytics"
        self._users = gauge("reconciliation_users", text, ["side"], kept=True)
        text = "Users whose analytics do not fit their documents, by kind, a lower bound"
        self._drift = gauge("reconciliation_drift_users", text, ["kind"], kept=True)
        text = "Dates with values of a sample of users, as the source has them and as analytics have them"
        self._days = gauge("reconciliation_sampled_dates", text, ["side"], kept=True)
        text = "When source and analytics were last compared, seconds since 1970"
        self._compared = gauge("reconciliation_timestamp_seconds", text, kept=True)
        text = "Seconds between two comparisons; 0 when there are none"
        gauge("reconciliation_interval_seconds", text).set(every_seconds)
        self._registry = metrics.registry

    @property
    def last(self) -> float:
        """The time of the last audit, of whichever process, in seconds since 1970; 0 before the first."""
        return self._registry.value(self._compared)

    def unseen(self, kind: str, count: int) -> None:
        """Set the number of documents of one `kind` of the census."""
        self._unseen.labels(kind).set(count)

    def reconciled(
        self, users: Mapping[str, int], drift: Mapping[str, int], days: Mapping[str, int], now: datetime
    ) -> None:
        """Take a comparison's findings; `users` and `days` by side (source, analytics), `drift` by kind."""
        for gauge, values in ((self._users, users), (self._drift, drift), (self._days, days)):
            for label, value in values.items():
                gauge.labels(label).set(value)
        self._compared.set(now.timestamp())
