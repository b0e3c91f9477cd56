"""The check of the catalogue of metrics: what of it the existing backend does not know."""

from __future__ import annotations

from collections.abc import Iterator

from commands.checks.result import CheckResult, ok, warning
from contracts.health_metric_file import shipped
from contracts.health_metrics import METRICS
from settings import Settings

_NAME = "Metrics"
_REMEDY = "Name it in the backend's model and in the client too, or keep to metrics that the backend knows."


def metrics(settings: Settings) -> CheckResult:
    """Check that the backend knows all metrics, and takes all values, of the catalogue in use."""
    own = f" (METRIC_CATALOGUE={settings.metric_catalogue})" if settings.metric_catalogue else ""
    found = f"{len(METRICS)} metrics{own}"
    if told := list(unknown_to_backend()):
        return warning(_NAME, f"{found}: {'; '.join(told)}", _REMEDY)
    return ok(_NAME, f"{found}, all known to the backend")


def unknown_to_backend() -> Iterator[str]:
    """What its models refuse: other names of `metricType`, and values beyond its limits."""
    known = shipped()
    if new := [name for name in METRICS if name not in known]:
        yield f"{', '.join(new)} {'is' if len(new) == 1 else 'are'} not in its enum of metricType"
    for name, metric in METRICS.items():
        limits = known.get(name)
        if limits and not limits.low <= metric.low < metric.high <= limits.high:
            yield f"of {name} it takes {limits.low:,g} to {limits.high:,g} {limits.unit}"
