"""prometheus_client's metrics, whose counters and histograms go on from the file of an earlier process.

A metric is an ordinary Counter, Gauge or Histogram that starts at 0; what the earlier file held is added to
every sample when it is rendered.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from monitoring.logs import redact

# Labels are names of rules or of error types; should one ever hold a value, the series stay bounded.
MAX_LABELS = 100
_OTHER = "other"

# The name of a sample and its labels.
_Key = tuple[str, tuple[tuple[str, str], ...]]


class CorruptMetricsError(ValueError):
    """An earlier metrics file is not what this service writes."""


class Described(NamedTuple):
    """What a metric is, for who shows it: `kind` is counter, gauge or histogram."""

    kind: str
    text: str
    labels: tuple[str, ...]


class MetricRegistry(Collector):
    """Makes metrics and renders them, restart-safe; `prefix` stands in front of the names it is given.

    A gauge is not written before it is set, and `clear` takes it out again. `described` has every metric that
    was made, by its full name.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.described: dict[str, Described] = {}
        self._live = CollectorRegistry(auto_describe=True)
        self._rendered = CollectorRegistry()
        self._rendered.register(self)
        self._bounds: dict[str, list[str]] = {}
        self._sample_names: dict[str, tuple[str, ...]] = {}
        self._kept: dict[str, Gauge] = {}
        self._file: list[Sample] = []
        self._earlier: dict[str, dict[_Key, float]] = {}
        self._labels: dict[str, set[str]] = {}
        self._renamed: dict[str, Callable[[str], str]] = {}

    def counter(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        prefix: str | None = None,
        earlier: Callable[[str], str] | None = None,
    ) -> Counter:
        """A Counter; `name` ends in `_total`. `prefix` replaces the registry's, for the seed's names.

        `earlier` gives today's label for one that an earlier file may hold.
        """
        full = (self.prefix if prefix is None else prefix) + name
        if earlier:
            self._renamed[full] = earlier
        self.described[full] = Described("counter", text, tuple(labels))
        self._continue(full, (full,))
        return Counter(full, text, labels, registry=self._live)

    def gauge(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        prefix: str | None = None,
        kept: bool = False,
    ) -> Gauge:
        """A Gauge; a `kept` one has the earlier file's values until it is set."""
        full = (self.prefix if prefix is None else prefix) + name
        self.described[full] = Described("gauge", text, tuple(labels))
        gauge = Gauge(full, text, labels, registry=self._live)
        if not labels:
            clear(gauge)
        if kept:
            self._kept[full] = gauge
            self._restore_gauges()
        return gauge

    def histogram(
        self, name: str, text: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        """A Histogram with these upper `bounds`; the one for infinity comes by itself."""
        full = self.prefix + name
        self.described[full] = Described("histogram", text, tuple(labels))
        self._bounds[full] = [_bound(bound) for bound in (*bounds, math.inf)]
        self._continue(full, (f"{full}_bucket", f"{full}_count", f"{full}_sum"))
        return Histogram(full, text, labels, registry=self._live, buckets=bounds)

    def count(self, counter: Counter, label: str, amount: float = 1) -> None:
        """Count under the only label of `counter`: printable, without secrets, and of at most 100 kinds."""
        known = self._labels.setdefault(_name(counter), set())
        shown = "".join(char if char.isprintable() else " " for char in redact(label))[:100]
        shown = shown.encode("utf-8", "replace").decode()
        if shown not in known and len(known) >= MAX_LABELS:
            shown = _OTHER
        known.add(shown)
        counter.labels(shown).inc(amount)

    def observe_many(self, histogram: Histogram, buckets: Sequence[int], total: float) -> None:
        """Add observations that were counted elsewhere, by upper bound, infinity last; `total` is their sum.

        prometheus_client itself takes one at a time, which a million events a batch would feel.
        """
        for bucket, count in zip(histogram._buckets, buckets, strict=True):
            bucket.inc(count)
        histogram._sum.inc(total)

    def value(self, metric: Counter | Gauge) -> float:
        """The present value of a metric without labels, as it is written; 0 for a gauge that is not set."""
        (family,) = metric.collect()
        return next((sample.value for sample in self._continued(family)), 0.0)

    def render(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self._rendered)

    def collect(self) -> Iterator[Metric]:
        """The present values, for prometheus_client: no timestamps and no `_created` samples."""
        for family in self._live.collect():
            # A family that is not in the text format would be read back under another name.
            shown = Metric(family.name, family.documentation, family.type)
            shown.samples = self._continued(family)
            yield shown

    def _continued(self, family: Metric) -> list[Sample]:
        values = dict(self._earlier.get(_text_name(family), {}))
        for sample in family.samples:
            if not sample.name.endswith("_created") and not math.isnan(sample.value):
                key = _key(sample)
                values[key] = values.get(key, 0.0) + sample.value
        # By labels, so that the order does not tell which of them the earlier process knew; stable, so that
        # the buckets of a histogram stay in their order.
        ordered = sorted(values.items(), key=lambda item: [pair for pair in item[0][1] if pair[0] != "le"])
        return [Sample(name, dict(labels), value) for (name, labels), value in ordered]

    def restore(self, text: str, required: str) -> None:
        """Go on from an earlier file; metrics that it lacks stay at 0.

        Raises CorruptMetricsError, and then changes nothing, when it is not a whole file of valid values or
        lacks the sample `required`.
        """
        if not text.endswith("\n"):
            raise CorruptMetricsError("it does not end with a line end")
        try:
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        except Exception as error:  # the parser raises whatever its string handling meets
            raise CorruptMetricsError("it is not in the Prometheus text format") from error
        if not any(sample.name == required for sample in samples):
            raise CorruptMetricsError(f"it does not hold {required}")
        earlier = {name: self._earlier_values(name, samples) for name in self._sample_names}
        self._file = samples
        for name, values in earlier.items():
            self._adopt(name, values)
        self._restore_gauges()

    def _continue(self, name: str, sample_names: tuple[str, ...]) -> None:
        """A metric that is made after the file was read goes on from it too."""
        self._sample_names[name] = sample_names
        with contextlib.suppress(CorruptMetricsError):
            self._adopt(name, self._earlier_values(name, self._file))

    def _adopt(self, name: str, values: dict[_Key, float]) -> None:
        self._earlier[name] = values
        self._labels[name] = {value for _, labels in values for _, value in labels}

    def _restore_gauges(self) -> None:
        for sample in self._file:
            if sample.name in self._kept:
                gauge = self._kept[sample.name]
                (gauge.labels(**sample.labels) if sample.labels else gauge).set(sample.value)

    def _earlier_values(self, name: str, samples: Sequence[Sample]) -> dict[_Key, float]:
        """Returns the file's values of a counter or histogram. Raises CorruptMetricsError for wrong ones."""
        found = [sample for sample in samples if sample.name in self._sample_names[name]]
        for sample in found:
            if not math.isfinite(sample.value) or sample.value < 0:
                raise CorruptMetricsError(f"{sample.name} is {sample.value}")
        values: dict[_Key, float] = {}
        for sample in found:
            key = self._today(name, _key(sample))
            values[key] = values.get(key, 0.0) + sample.value
        return values if name not in self._bounds or self._has_bounds(name, values) else {}

    def _today(self, name: str, key: _Key) -> _Key:
        if name not in self._renamed:
            return key
        return key[0], tuple((label, self._renamed[name](value)) for label, value in key[1])

    def _has_bounds(self, name: str, values: Mapping[_Key, float]) -> bool:
        """Whether a histogram has the bounds of today; others come from another version of this service.

        Raises CorruptMetricsError for buckets that decrease.
        """
        series: dict[tuple[tuple[str, str], ...], list[tuple[str, float]]] = {}
        for (sample, labels), value in values.items():
            if sample.endswith("_bucket"):
                rest = tuple(pair for pair in labels if pair[0] != "le")
                series.setdefault(rest, []).append((dict(labels).get("le", ""), value))
        for buckets in series.values():
            counts = [value for _, value in buckets]
            if [bound for bound, _ in buckets] != self._bounds[name]:
                return False
            if counts != sorted(counts):
                raise CorruptMetricsError("its histogram decreases")
        return True


def clear(gauge: Gauge) -> None:
    """Take `gauge`, which has no labels, out of the file until it is set again: its value is not known."""
    gauge.set(math.nan)


def _bound(bound: float) -> str:
    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]


def _key(sample: Sample) -> _Key:
    return sample.name, tuple(sorted(sample.labels.items()))


def _text_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _name(counter: Counter) -> str:
    return _text_name(next(iter(counter.describe())))
