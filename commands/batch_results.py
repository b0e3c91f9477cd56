"""Shows at the end of a one-shot run the rolling averages and anomalies of a few users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

_DAYS = 15


def print_results(documents: Sequence[dict[str, Any]], console: Console) -> None:
    """Print the steps of the last 15 days and the anomalies in `documents` (analytics documents)."""
    steps = [d for d in documents if d["metricType"] == "steps" and d["timeRange"] == "30day"]
    averages = {d["userId"]: d for d in documents if d["metricType"] == "steps" and d["timeRange"] == "7day"}
    for document in steps:
        table = Table("day", "steps", title=f"📈 Steps, last {_DAYS} days: user {document['userId']}")
        for point in document["historicalData"][-_DAYS:]:
            table.add_row(f"{point['date']:%Y-%m-%d}", f"{point['value']:,.0f}")
        console.print(table)
        week = averages.get(document["userId"])
        if week:
            console.print(f"   7-day rolling average: {week['analytics']['rollingAverage']:,.2f}")
    found = [d for d in documents if d["analytics"]["anomalyDetected"] and d["timeRange"] == "90day"]
    console.print(f"⚠️  Detected anomalies: {len(found)}")
    for document in found:
        details = document["analytics"]["anomalyDetails"]
        console.print(
            f"   {document['userId']} {details['detectedAt']:%Y-%m-%d} {details['message']}", highlight=False
        )
