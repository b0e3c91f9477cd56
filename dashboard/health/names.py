"""The names and units of metrics, ranges and states as people read them."""

from __future__ import annotations

from typing import Final

from contracts.health_metrics import METRICS

RANGES: Final = {"7day": "7 days", "30day": "30 days", "90day": "90 days"}
# Worst first; the marks tell them apart without colour.
SEVERITIES: Final = {"high": "▲\xa0high", "medium": "◆\xa0medium", "low": "●\xa0low"}
# A change of at most 5 % is stable.
TRENDS: Final = {"up": "↗", "down": "↘", "stable": "→"}
STATUSES: Final = {
    "completed": "✓\xa0completed",
    "completed_with_errors": "!\xa0completed with errors",
    "failed": "✗\xa0failed",
}


def metric_name(metric: str) -> str:
    """`Active minutes` for `activeMinutes`; an unknown one as it is."""
    return METRICS[metric].label if metric in METRICS else metric


def unit(metric: str) -> str:
    """The unit of a metric; empty for an unknown one."""
    return METRICS[metric].unit if metric in METRICS else ""
