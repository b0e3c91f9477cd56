"""The values behind the metrics file: how a batch changes them, their names, how they are read back."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from contracts import BatchReport
from monitoring.logs import redact

# The seed's counters in its order, with their help texts. All names of the seed are without a prefix.
COUNTERS = {
    "batches_processed_total": "Total number of batches processed",
    "batches_succeeded_total": "Total number of successful batches",
    "batches_failed_total": "Total number of failed batches",
    "analytics_written_total": "Total number of analytics records written",
    "analytics_inserted_total": "Total number of new analytics records inserted",
    "analytics_updated_total": "Total number of analytics records updated",
    "analytics_skipped_total": "Total number of analytics records skipped",
    "records_processed_total": "Total number of health metrics records processed",
    "errors_total": "Total number of errors encountered",
}
SECONDS = "processing_time_seconds"
AVERAGE = "average_processing_time_ms"

# This service's own, all with the pipeline's name in front.
DELETED = "analytics_deleted_total"
REJECTED = "rejected_total"
DURATION = "batch_duration_seconds"
GAUGES = {
    "poll_lag_seconds": "Server time minus the newest processed updatedAt at the last poll, in seconds",
    "newest_processed_timestamp_seconds": "Newest processed updatedAt, seconds since 1970",
    "last_poll_timestamp_seconds": "When the source was last polled successfully, seconds since 1970",
    "last_success_timestamp_seconds": "When a batch last succeeded, seconds since 1970",
    "dlq_letters": "Dead letters that wait in the queue",
}
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

# Reasons are names of rules; should one ever hold a value, the number of series stays bounded.
_MAX_REASONS = 100
_OTHER = "other"


class CorruptMetricsError(ValueError):
    """An earlier metrics file is not what this service writes."""


@dataclass
class MetricsState:
    """Every value; `base` goes in front of the seed's names, `extra` in front of this service's own."""

    base: str
    extra: str
    counters: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0.0))
    deleted: float = 0.0
    seconds: float = 0.0
    rejected: dict[str, float] = field(default_factory=dict)
    # Batches by duration, each in one bucket only; the last one is for those above the largest bound.
    durations: list[float] = field(default_factory=lambda: [0.0] * (len(BOUNDS) + 1))
    durations_sum: float = 0.0
    gauges: dict[str, float] = field(default_factory=dict)

    def add(self, report: BatchReport) -> None:
        """Count one batch."""
        seconds = report.processing_time_ms / 1000
        for name, amount in {
            "batches_processed_total": 1,
            "batches_succeeded_total": int(report.success),
            "batches_failed_total": int(not report.success),
            "analytics_written_total": report.writes.written,
            "analytics_inserted_total": report.writes.inserted,
            "analytics_updated_total": report.writes.updated,
            "analytics_skipped_total": report.writes.skipped,
            "records_processed_total": report.records_processed,
            "errors_total": len(report.errors),
        }.items():
            self.counters[name] += amount
        self.deleted += report.writes.deleted
        self.seconds += seconds
        self.durations[bisect_left(BOUNDS, seconds)] += 1
        self.durations_sum += seconds
        for reason, count in report.rejected_by_reason.items():
            self._reject(reason, count)

    def _reject(self, reason: str, count: int) -> None:
        shown = "".join(char if char.isprintable() else " " for char in redact(reason))[:100]
        label = shown.encode("utf-8", "replace").decode()
        if label not in self.rejected and len(self.rejected) >= _MAX_REASONS:
            label = _OTHER
        self.rejected[label] = self.rejected.get(label, 0.0) + count

    def families(self) -> Iterator[Metric]:
        """What prometheus_client renders; no timestamps and no `_created` samples."""
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(self.base + name, text, value=self.counters[name])
        batches = self.counters["batches_processed_total"]
        yield GaugeMetricFamily(self.base + SECONDS, "Total processing time in seconds", self.seconds)
        average = self.seconds * 1000 / batches if batches else 0.0
        text = "Average processing time per batch in milliseconds"
        yield GaugeMetricFamily(self.base + AVERAGE, text, round(average, 2))
        text = "Total number of obsolete analytics records deleted"
        yield CounterMetricFamily(self.extra + DELETED, text, value=self.deleted)
        text = "Documents, or fields of them, refused by reason"
        rejected = CounterMetricFamily(self.extra + REJECTED, text, labels=["reason"])
        for reason, count in sorted(self.rejected.items()):
            rejected.add_metric([reason], count)
        yield rejected
        yield self._histogram()
        for name, text in GAUGES.items():
            if name in self.gauges:
                yield GaugeMetricFamily(self.extra + name, text, self.gauges[name])

    def _histogram(self) -> HistogramMetricFamily:
        buckets, total = [], 0.0
        for bound, count in zip((*BOUNDS, math.inf), self.durations, strict=True):
            total += count
            buckets.append(("+Inf" if math.isinf(bound) else str(bound), total))
        text = "Wall time of a batch in seconds"
        return HistogramMetricFamily(self.extra + DURATION, text, buckets, self.durations_sum)

    def restore(self, text: str) -> None:
        """Go on from the values in an earlier metrics file; names that it lacks stay at 0.

        Raises CorruptMetricsError, and then changes nothing, when it is not a whole file of valid values.
        """
        if not text.endswith("\n"):
            raise CorruptMetricsError("it does not end with a line end")
        try:
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        except Exception as error:  # the parser raises whatever its string handling meets
            raise CorruptMetricsError("it is not in the Prometheus text format") from error
        read = MetricsState(self.base, self.extra)
        cumulative: dict[float, float] = {}
        for sample in samples:
            read._take(sample, cumulative)
        if not any(sample.name == f"{self.base}batches_processed_total" for sample in samples):
            raise CorruptMetricsError("it does not hold the number of batches")
        read._take_buckets(cumulative)
        self.__dict__.update(read.__dict__)

    def _take(self, sample: Sample, cumulative: dict[float, float]) -> None:
        own = sample.name.removeprefix(self.extra)
        if sample.name.startswith(self.extra) and own in GAUGES:
            self.gauges[own] = sample.value
            return
        if not math.isfinite(sample.value) or sample.value < 0:
            raise CorruptMetricsError(f"{sample.name} is {sample.value}")
        if sample.name.removeprefix(self.base) in COUNTERS and sample.name.startswith(self.base):
            self.counters[sample.name.removeprefix(self.base)] = sample.value
        elif sample.name == self.base + SECONDS:
            self.seconds = sample.value
        elif sample.name == self.extra + DELETED:
            self.deleted = sample.value
        elif sample.name == self.extra + REJECTED:
            self.rejected[sample.labels.get("reason", _OTHER)] = sample.value
        elif sample.name == f"{self.extra}{DURATION}_sum":
            self.durations_sum = sample.value
        elif sample.name == f"{self.extra}{DURATION}_bucket":
            cumulative[float(sample.labels.get("le", "nan"))] = sample.value

    def _take_buckets(self, cumulative: dict[float, float]) -> None:
        # Other bounds come from another version of this service; Prometheus handles the restart at 0.
        if list(cumulative) != [*BOUNDS, math.inf]:
            self.durations_sum = 0.0
            return
        counts = list(cumulative.values())
        self.durations = [high - low for low, high in zip([0.0, *counts], counts, strict=False)]
        if min(self.durations) < 0:
            raise CorruptMetricsError("its histogram decreases")
