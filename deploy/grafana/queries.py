"""Queries for Prometheus in which `@name` is a metric of a pipeline, as its registry has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from monitoring.metric_registry import Described

# Which series: those of the instances that are chosen on the board.
_CHOSEN = 'instance=~"$instance"'
_AT = re.compile(r"@(\w+)(?:\{([^}]*)\})?")
_PARTS = re.compile(r"_(bucket|count|sum)$")


class Query(NamedTuple):
    """A PromQL expression and the name of each of its lines."""

    expr: str
    legend: str = "{{instance}}"


class Names:
    """The metrics of one pipeline by the names that all pipelines share."""

    def __init__(self, pipeline: str, metrics: Mapping[str, Described]) -> None:
        self.pipeline = pipeline
        self.metrics = metrics

    def full(self, name: str) -> str:
        """The full name of `name`, which may be a part of a histogram. Raises KeyError without one.

        Health has the earlier program's names: without a prefix, and analytics where others have records.
        """
        found = _PARTS.search(name)
        base, part = (name[: found.start()], found[0]) if found else (name, "")
        for each in (base, base.replace("records_", "analytics_", 1)):
            for candidate in (f"{self.pipeline}_{each}", each):
                kind = self.metrics[candidate].kind if candidate in self.metrics else ""
                if kind and (kind == "histogram") == bool(part):
                    return candidate + part
        raise KeyError(f"The pipeline {self.pipeline} has no metric {name}.")

    def filled(self, expr: str) -> str:
        """`expr` with full names, each of the chosen instances."""
        return _AT.sub(lambda at: f"{self.full(at[1])}{{{', '.join(filter(None, (_CHOSEN, at[2])))}}}", expr)

    def of(self, expr: str) -> Iterator[str]:
        """The metrics that `expr`, with or without @, names."""
        for word in re.findall(r"\w+", expr):
            base = _PARTS.sub("", word)
            if base in self.metrics:
                yield base


def unit_of(name: str, kind: str) -> str:
    """The unit of Grafana that the name of a metric tells."""
    for ending, unit in (("_seconds", "s"), ("_bytes", "bytes"), ("_ms", "ms")):
        if name.removesuffix("_total").endswith(ending):
            return "percentunit" if (kind, unit) == ("counter", "s") else unit
    return "short"


def usual(name: str, metric: Described) -> tuple[str, list[Query]]:
    """The unit, and what is asked of a metric where nothing else is said."""
    of = f"{name}{{{_CHOSEN}}}"
    unit, by = unit_of(name, metric.kind), ", ".join(metric.labels)
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or "{{instance}}"
    if metric.kind == "histogram":
        bucket = of.replace("{", "_bucket{", 1)
        grouped = f"sum by ({', '.join(('le', *metric.labels))}) (rate({bucket}[$__rate_interval]))"
        many = (("half within", 0.5), ("95 % within", 0.95))
        shown = f" {legend}" if by else ""
        return unit, [Query(f"histogram_quantile({part}, {grouped})", said + shown) for said, part in many]
    if metric.kind == "counter":
        of = f"rate({of}[$__rate_interval])" if unit == "percentunit" else f"increase({of}[5m])"
    elif name.endswith("_timestamp_seconds"):
        of = f"time() - {of}"
    return unit, [Query(f"sum by ({by}) ({of})" if by else of, legend)]
