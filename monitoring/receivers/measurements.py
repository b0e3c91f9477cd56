"""The metrics of a pipeline in the data model of OpenTelemetry."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from prometheus_client import core
from prometheus_client.samples import Sample

from monitoring.receivers.spans import SCOPE

# Counters go on over restarts, so it is not known since when they count.
_UNKNOWN = 0
_CUMULATIVE = AggregationTemporality.CUMULATIVE


def measurements(families: Iterable[core.Metric], resource: Resource) -> MetricsData:
    """Returns `families` as they are now, under the names that Prometheus sees."""
    now = time.time_ns()
    found = [metric for family in families if (metric := _metric(family, now))]
    return MetricsData([ResourceMetrics(resource, [ScopeMetrics(SCOPE, found, "")], "")])


def _metric(family: core.Metric, now: int) -> Metric | None:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    data: Sum | Gauge | Histogram
    if family.type == "histogram":
        data = Histogram(list(_histograms(family.samples, now)), _CUMULATIVE)
    else:
        points = [
            NumberDataPoint(sample.labels, _UNKNOWN, now, sample.value, exemplars=[])
            for sample in family.samples
        ]
        data = Sum(points, _CUMULATIVE, is_monotonic=True) if family.type == "counter" else Gauge(points)
    return Metric(name, family.documentation, None, data) if data.data_points else None


def _histograms(samples: Sequence[Sample], now: int) -> Iterator[HistogramDataPoint]:
    """Yield one point for each set of labels; Prometheus's buckets hold those below them too."""
    series: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in samples:
        labels = tuple(pair for pair in sorted(sample.labels.items()) if pair[0] != "le")
        series.setdefault(labels, []).append(sample)
    for labels, found in series.items():
        buckets = sorted((float(one.labels["le"]), one.value) for one in found if "le" in one.labels)
        below = [0.0, *(count for _, count in buckets)]
        each = [round(count - before) for before, count in pairwise(below)]
        yield _histogram(dict(labels), [bound for bound, _ in buckets[:-1]], each, _ends(found), now)


def _histogram(
    labels: Mapping[str, str], bounds: Sequence[float], each: Sequence[int], ends: tuple[int, float], now: int
) -> HistogramDataPoint:
    count, total = ends
    # Its least and its greatest value are not kept.
    return HistogramDataPoint(
        labels,
        _UNKNOWN,
        now,
        count,
        total,
        each,
        bounds,
        min=None,
        max=None,
        exemplars=[],
    )


def _ends(samples: Iterable[Sample]) -> tuple[int, float]:
    """Returns how many observations there are, and their sum."""
    found = {sample.name.rpartition("_")[2]: sample.value for sample in samples if "le" not in sample.labels}
    return round(found.get("count", 0)), found.get("sum", 0.0)
