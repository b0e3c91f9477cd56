"""What the demo tells of anomalies is what the pages tell of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from rich.console import Console

from analytics.health.unusual import sentence
from contracts import effects
from contracts.health_metrics import METRICS
from pipelines.health.demo.console import event_row, events_in, print_events

_DAY = datetime(2026, 12, 31, tzinfo=timezone.utc)
_LEAST = effects.parse("", METRICS)


def _document(user: str, metric: str, time_range: str, found: Mapping[str, Any] | None) -> dict[str, Any]:
    details = found and {"detectedAt": _DAY, "severity": "high", "message": "raw", **found}
    return {
        "userId": user,
        "metricType": metric,
        "timeRange": time_range,
        "analytics": {"anomalyDetected": bool(found), "anomalyDetails": details},
    }


def _walk(user: str) -> list[dict[str, Any]]:
    """A long walk, in each range, and 140 g of weight, which only a machine calls unusual."""
    values = {"steps": (29_763.0, 9_900.0), "distance": (22.0, 7.3), "weight": (81.5, 81.64)}
    return [
        _document(
            user, metric, name, {"actualValue": value, "expectedValue": usual, "deviation": value - usual}
        )
        for metric, (value, usual) in values.items()
        for name in ("7day", "30day", "90day")
    ]


def test_one_long_walk_is_one_line_in_words() -> None:
    """Six anomalies of two metrics in three ranges; what is too small is counted, and not shown."""
    documents = [*_walk("a" * 24), _document("b" * 24, "steps", "7day", None)]
    events, hidden = events_in(documents, _LEAST)
    assert ([event.user for event in events], hidden) == (["a" * 24], 1)
    assert event_row(events[0], _LEAST) == ("2026-12-31", "…aaaaaa", "high", sentence(events[0], _LEAST))
    shown = io.StringIO()
    print_events(documents, Console(file=shown, width=120), _LEAST)
    text = " ".join(shown.getvalue().split())
    assert "walked 29,763 steps, three times the usual; distance follows" in text
    assert "raw" not in text
    assert "1 days of people" not in text
