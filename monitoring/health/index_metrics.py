"""Metrics of the indexes that the health pipeline relies on."""

from __future__ import annotations

from collections.abc import Collection

from monitoring.metrics import Metrics

INDEXES = ("analytics_unique_key", "analytics_ttl", "poll", "history")


class IndexMetrics:
    """Fills metrics of `metrics`, which writes them with the next batch or poll."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        text = "Whether an index that the pipeline relies on is missing (1) or there (0)"
        self._missing = registry.gauge("index_missing", text, ["index"])
        text = "Indexes that were missing and made again"
        self._made = registry.counter("indexes_made_total", text, ["index"])
        text = "Results removed because a newer one had the same key"
        self._duplicates = registry.counter("duplicates_removed_total", text)
        for name in INDEXES:
            self._made.labels(name)

    def missing(self, names: Collection[str]) -> None:
        """Set which indexes are missing now; `names` as in INDEXES."""
        for name in INDEXES:
            self._missing.labels(name).set(int(name in names))

    def made(self, names: Collection[str]) -> None:
        """Count the indexes `names` as made again."""
        for name in names:
            self._made.labels(name).inc()

    def removed(self, duplicates: int) -> None:
        """Count results that were removed as duplicates."""
        self._duplicates.inc(duplicates)
