"""The backend's client beside our events: a model of what its page keeps of a user, and what it shows."""

from __future__ import annotations

from typing import Any


class ClientPage:
    """One user's open page. An event's item replaces the whole entry of its metric and range."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        """`documents` as the backend serves them when the page is loaded: JSON."""
        self.entries = {(document["metricType"], document["timeRange"]): document for document in documents}

    def hear(self, event: dict[str, Any]) -> None:
        """An event came over the open connection."""
        for item in event["data"]["analytics"]:
            self.entries[item["metricType"], item["timeRange"]] = item

    def card(self, metric: str) -> dict[str, Any]:
        """What the card of `metric` shows."""
        entry = self.entries[metric, "7day"]
        values = entry["analytics"]
        shown = ("rollingAverage", "trend", "trendPercentage", "streakDays", "percentile", "anomalyDetected")
        return {
            **{name: values[name] for name in shown},
            "calculatedAt": entry["calculatedAt"],
            "period": entry.get("period"),
            "sparkline": entry.get("historicalData", []),
        }

    @property
    def anomalies(self) -> int:
        """The number beside the bell: it looks in both places."""
        return sum(
            bool(place.get("anomalyDetected"))
            for entry in self.entries.values()
            for place in (entry, entry["analytics"])
        )

    @property
    def is_active(self) -> bool:
        """Whether the badge "Spark Analytics Active" is lit."""
        return any(entry.get("rollingAverage") is not None for entry in self.entries.values())
