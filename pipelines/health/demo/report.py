"""The demo's report: one HTML file with charts that opens offline and asks nothing of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analytics.health.unusual import Event
from analytics.health.words import plural
from contracts.effects import LeastEffect
from contracts.health_metrics import METRICS
from monitoring.report.chart import Axis, line_chart
from monitoring.report.page import note, section, table, tiles, write_page
from pipelines.health.demo.console import event_row, events_in
from pipelines.health.worked_example import EXPECTED, applies, found_figures

_Document = Mapping[str, Any]
_SHOWN_EVENTS = 25
_DAY_SECONDS = 86_400.0


def write_report(
    path: Path,
    documents: Sequence[_Document],
    summary: Mapping[str, Any],
    pattern_user: Any,
    least: Mapping[str, LeastEffect],
) -> Path:
    """Write the report of `documents` (analytics) and return its path.

    `summary` has `users`, `documents` and `batches` (entries of the batch log); anomalies smaller than
    `least` are left out.
    """
    pattern = [document for document in documents if document["userId"] == pattern_user]
    events, hidden = events_in(documents, least)
    body = [
        _tiles(summary, len(events)),
        *([_pattern(pattern), _worked_example(pattern)] if applies() else []),
        _what_stands_out(events, hidden, least),
        _trends(documents),
        _batches(summary["batches"]),
    ]
    about = "What the demo's stream computed from simulated people."
    return write_page(path, "Health analytics", about, body)


def _tiles(summary: Mapping[str, Any], events: int) -> str:
    batches = summary["batches"]
    figures = {
        "users": summary["users"],
        "analytics documents": summary["documents"],
        "days that stand out": events,
        "batches": len(batches),
        "changes processed": sum(batch["records_processed"] for batch in batches),
    }
    return tiles({name: f"{value:,}" for name, value in figures.items()})


def _pattern(documents: Sequence[_Document]) -> str:
    by_range = {d["timeRange"]: d for d in documents if d["metricType"] == "steps"}
    month, week = by_range["30day"], by_range["7day"]
    history = month["historicalData"]
    line = [(point["date"].timestamp(), point["value"]) for point in history]
    details = month["analytics"]["anomalyDetails"]
    marks = []
    if details:
        marks = [(details["detectedAt"].timestamp(), details["actualValue"], details["message"])]
    every = range(0, len(history), max(1, len(history) // 4))
    labels = [(line[at][0], f"{history[at]['date']:%d %b}") for at in every]
    average = week["analytics"]["rollingAverage"]
    # No line leads across a day without a value.
    axis = Axis(labels, gap=1.5 * _DAY_SECONDS)
    chart = line_chart("Steps a day of the pattern user", line, axis, marks, average)
    anomaly = details["message"] if details else "none"
    return section(
        "A person with known steps",
        note("Built so that every figure below can be worked out by hand.")
        + chart
        + note(f"Dashed: 7-day average {average:,.2f} steps. Ring: {anomaly}."),
    )


def _worked_example(documents: Sequence[_Document]) -> str:
    rows = [
        (name, EXPECTED[name], found, "✓" if found == EXPECTED[name] else "✗ differs")
        for name, found in found_figures(documents).items()
    ]
    return section("The worked example", table(("figure", "expected", "found", ""), rows))


def _what_stands_out(events: Sequence[Event], hidden: int, least: Mapping[str, LeastEffect]) -> str:
    rows = [event_row(event, least) for event in events[:_SHOWN_EVENTS]]
    return section(
        f"What stands out, the newest of {plural(len(events), 'day')} of a person",
        table(("day", "user", "severity", "what"), rows)
        + note(f"{plural(hidden, 'small anomaly', 'small anomalies')} left out, as the pages do."),
    )


def _trends(documents: Sequence[_Document]) -> str:
    counts: dict[str, dict[str, int]] = {}
    for document in documents:
        if document["timeRange"] == "7day":
            trends = counts.setdefault(document["metricType"], {"up": 0, "stable": 0, "down": 0})
            trends[document["analytics"]["trend"]] += 1
    rows = [(METRICS[metric].label, *(str(n) for n in trends.values())) for metric, trends in counts.items()]
    return section(
        "Users by 7-day trend", table(("metric", "up", "stable", "down"), rows, ["up", "stable", "down"])
    )


def _batches(batches: Sequence[Mapping[str, Any]]) -> str:
    line = [(float(index), batch["processing_time_ms"] / 1000) for index, batch in enumerate(batches)]
    labels = [(0.0, "first"), (line[-1][0], "last")] if len(line) > 1 else []
    chart = line_chart("The duration of each batch in seconds", line, Axis(labels))
    return section("How long batches took, in seconds", chart)
