"""The metrics file that the service leaves for Prometheus, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

_OF_HEALTH: Final = "spark_analytics_metrics.prom"
_MAX_BYTES: Final = 1_000_000


@dataclass(frozen=True)
class ServiceMetrics:
    """`values` by metric name, of samples without labels; `written` is when the service wrote the file."""

    values: Mapping[str, float]
    written: datetime


def read_metrics(folder: Path, prefix: str = "") -> ServiceMetrics | None:
    """Read the file of the pipeline `prefix` ("" for health) in `folder`; None while there is none.

    Raises OSError, ValueError for a wrong form.
    """
    path = folder / (f"{prefix}_metrics.prom" if prefix else _OF_HEALTH)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES).decode("utf-8", "replace")
    written = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(content)
        for sample in family.samples
        if not sample.labels
    }
    return ServiceMetrics(values, written)
