"""What the demo shows in the terminal: the worked example, expected against found, and anomalies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

_SHOWN_ANOMALIES: Final = 12
# The figures of the contract's worked example.
EXPECTED: Final[Mapping[str, str]] = {
    "7-day average": "9771.43",
    "7-day trend": "up +11.67 %",
    "streak (longest)": "7 (7) days",
    "anomaly on day 13": "expected 8500, σ 836.66, z 11.35, high",
    "percentile": "23.08",
    "completeness 7 / 30 days": "100 % / 46.67 %",
}

_Document = Mapping[str, Any]


def found_figures(documents: Sequence[_Document]) -> dict[str, str]:
    """The worked example's figures as the pattern user's analytics documents have them."""
    by_range = {d["timeRange"]: d["analytics"] for d in documents if d["metricType"] == "steps"}
    week, month = by_range["7day"], by_range["30day"]
    details = week["anomalyDetails"] or {}
    z = details.get("deviation", float("nan"))
    expected = details.get("expectedValue", float("nan"))
    sigma = (details.get("actualValue", float("nan")) - expected) / z
    complete = [part["statistics"]["completenessPercentage"] for part in (week, month)]
    return {
        "7-day average": f"{week['rollingAverage']:.2f}",
        "7-day trend": f"{week['trend']} {week['trendPercentage']:+.2f} %",
        "streak (longest)": f"{week['streakDays']} ({week['longestStreak']}) days",
        "anomaly on day 13": f"expected {expected:g}, σ {sigma:.2f}, z {z:.2f}, {details.get('severity')}",
        "percentile": f"{week['percentile']:.2f}",
        "completeness 7 / 30 days": f"{complete[0]:g} % / {complete[1]:.2f} %",
    }


def print_worked_example(documents: Sequence[_Document], console: Console) -> None:
    """A table of the figures, each with whether it is as expected."""
    table = Table("figure", "expected", "found", "", title="🧮 The worked example (pattern user, steps)")
    for name, found in found_figures(documents).items():
        table.add_row(name, EXPECTED[name], found, "✅" if found == EXPECTED[name] else "❌")
    console.print(table)


def newest_anomalies(documents: Sequence[_Document]) -> list[_Document]:
    """The documents with the newest anomalies, newest first, each user, metric and day once."""
    found: dict[tuple[Any, ...], _Document] = {}
    for document in documents:
        if document["analytics"]["anomalyDetected"]:
            day = document["analytics"]["anomalyDetails"]["detectedAt"]
            found[(document["userId"], document["metricType"], day)] = document
    return [found[key] for key in sorted(found, key=lambda key: key[2], reverse=True)]


def print_anomalies(documents: Sequence[_Document], console: Console) -> None:
    """The newest anomalies of the whole population."""
    anomalies = newest_anomalies(documents)
    table = Table(
        "day", "user", "severity", "what", title=f"⚠️  Anomalies found: {len(anomalies)}, the newest"
    )
    for document in anomalies[:_SHOWN_ANOMALIES]:
        details = document["analytics"]["anomalyDetails"]
        user = f"…{str(document['userId'])[-6:]}"
        table.add_row(f"{details['detectedAt']:%Y-%m-%d}", user, details["severity"], details["message"])
    console.print(table)
