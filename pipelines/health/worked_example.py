"""The contract's worked example: its figures as they must be, and as analytics documents have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from contracts.health_metric_file import shipped
from contracts.health_metrics import METRICS

LAST_DAY: Final = 15
# One user's steps, days 1 to 15 without day 8, with a spike on day 13 (simulation/health/population.py).
EXPECTED: Final[Mapping[str, str]] = {
    "7-day average": "9771.43",
    "7 days before": "8750.00",
    "7-day trend": "up +11.67 %",
    "streak (longest)": "7 (7), since day 9",
    "anomaly": "high, on day 13",
    "its value (usual)": "18000 (8500)",
    "its σ and z": "836.66, 11.35",
    "percentile": "23.08",
    "values in 7 / 30 days": "7 / 14",
    "completeness": "100 % / 46.67 %",
}

_Document = Mapping[str, Any]


def applies() -> bool:
    """Whether the catalogue in use has steps as the example is worked out."""
    return "steps" in METRICS and METRICS["steps"].rules == shipped()["steps"].rules


def found_figures(documents: Sequence[_Document]) -> dict[str, str]:
    """The figures that `documents`, one user's analytics, have; empty when the steps are not among them."""
    by_range = {each["timeRange"]: each for each in documents if each["metricType"] == "steps"}
    if not by_range.keys() >= {"7day", "30day"}:
        return {}
    week, month = by_range["7day"]["analytics"], by_range["30day"]["analytics"]
    last = by_range["7day"]["historicalData"][-1]["date"]
    before = week["rollingAverage"] - week["comparisonToPrevious"]["absoluteChange"]
    streak = f"{week['streakDays']} ({week['longestStreak']})"
    counts, shares = zip(*(_coverage(part["statistics"]) for part in (week, month)), strict=True)
    return {
        "7-day average": f"{week['rollingAverage']:.2f}",
        "7 days before": f"{before:.2f}",
        "7-day trend": f"{week['trend']} {week['trendPercentage']:+.2f} %",
        "streak (longest)": f"{streak}, since day {_day(week['streakStartDate'], last)}",
        **_anomaly(week["anomalyDetails"], last),
        "percentile": f"{week['percentile']:.2f}",
        "values in 7 / 30 days": " / ".join(counts),
        "completeness": " / ".join(shares),
    }


def _coverage(statistics: _Document) -> tuple[str, str]:
    return str(statistics["dataPointsCount"]), f"{round(statistics['completenessPercentage'], 2):g} %"


def _anomaly(details: _Document | None, last: datetime) -> dict[str, str]:
    if details is None:
        return {"anomaly": "none"}
    value, expected, z = details["actualValue"], details["expectedValue"], details["deviation"]
    return {
        "anomaly": f"{details['severity']}, on day {_day(details['detectedAt'], last)}",
        "its value (usual)": f"{value:g} ({expected:g})",
        "its σ and z": f"{(value - expected) / z:.2f}, {z:.2f}",
    }


def _day(moment: datetime | None, last: datetime) -> str:
    """The day's number in the example, whose last day is `last`."""
    return "none" if moment is None else str(LAST_DAY - (last - moment).days)
