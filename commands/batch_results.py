"""Shows at the end of a one-shot run the rolling averages and anomalies of a few users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

_DAYS = 15


def print_results(documents: Sequence[dict[str, Any]], console: Console) -> None:
    """Print the steps of the last 15 days and the anomalies in `documents` (analytics documents).

    A value that another program wrote is passed over where it has another type.
    """
    steps = [d for d in documents if d["metricType"] == "steps" and d["timeRange"] == "30day"]
    averages = {d["userId"]: d for d in documents if d["metricType"] == "steps" and d["timeRange"] == "7day"}
    for document in steps:
        table = Table("day", "steps", title=f"📈 Steps, last {_DAYS} days: user {document['userId']}")
        for day, value in list(_points(document))[-_DAYS:]:
            table.add_row(f"{day:%Y-%m-%d}", f"{value:,.0f}")
        console.print(table)
        week = averages.get(document["userId"])
        average = week["analytics"].get("rollingAverage") if week else None
        if isinstance(average, int | float):
            console.print(f"   7-day rolling average: {average:,.2f}")
    found = [d for d in documents if d["analytics"].get("anomalyDetected") and d["timeRange"] == "90day"]
    console.print(f"⚠️  Detected anomalies: {len(found)}")
    for document in found:
        details = document["analytics"].get("anomalyDetails")
        detected = details.get("detectedAt") if isinstance(details, Mapping) else None
        if isinstance(detected, datetime):
            told = f"   {document['userId']} {detected:%Y-%m-%d} {details.get('message')}"
            console.print(told, highlight=False, markup=False)


def _points(document: Mapping[str, Any]) -> Iterator[tuple[datetime, float]]:
    points = document.get("historicalData")
    for point in points if isinstance(points, list) else []:
        day, value = (point.get(name) for name in ("date", "value")) if isinstance(point, Mapping) else (0, 0)
        if isinstance(day, datetime) and isinstance(value, int | float):
            yield day, value
