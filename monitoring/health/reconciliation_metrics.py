"""Metrics of the reconciliation: unseen documents, and source against results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from monitoring.metrics import Metrics


class ReconciliationMetrics:
    """Fills metrics of `metrics`, which outlive a restart.

    `kinds` are those of drift.
    """

    def __init__(self, metrics: Metrics, every_seconds: float, kinds: Iterable[str]) -> None:
        self._metrics, gauge = metrics, metrics.registry.gauge
        text = "Documents that the poll cannot see, or not before their time, by kind"
        self._unseen = gauge("unseen_documents", text, ["kind"], kept=True)
        text = "Users with documents in the source, and users with analytics"
        self._users = gauge("reconciliation_users", text, ["side"], kept=True)
        text = "Users whose analytics do not fit their documents and could not be mended, by kind"
        self._drift = gauge("reconciliation_drift_users", text, ["kind"], kept=True)
        text = "Users whose analytics did not fit their documents and were mended, by kind"
        self._healed = metrics.registry.counter("reconciliation_healed_users_total", text, ["kind"])
        for kind in kinds:
            self._drift.labels(kind)
            self._healed.labels(kind)
        text = "When source and analytics were last compared, or the wait for that began, seconds since 1970"
        self._compared = gauge("reconciliation_timestamp_seconds", text, kept=True)
        text = "Seconds between two comparisons; 0 when there are none"
        gauge("reconciliation_interval_seconds", text).set(every_seconds)

    def counted_from(self, now: datetime) -> None:
        """Let the first comparison be waited for since `now`, and write all."""
        self._compared.set(now.timestamp())
        self._metrics.write()

    def unseen(self, kind: str, count: int) -> None:
        """Set the number of documents of one `kind` of the census."""
        self._unseen.labels(kind).set(count)

    def healed(self, kind: str, users: int) -> None:
        """Count users of one `kind` of drift as mended."""
        self._healed.labels(kind).inc(users)

    def reconciled(self, users: Mapping[str, int], drift: Mapping[str, int], now: datetime) -> None:
        """Take findings, and write all: `users` by side (source, analytics), `drift` by kind."""
        for gauge, values in ((self._users, users), (self._drift, drift)):
            for label, value in values.items():
                gauge.labels(label).set(value)
        self._compared.set(now.timestamp())
        self._metrics.write()
