"""The demo's report: one HTML file with charts that opens offline and asks nothing of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pipelines.health.demo.console import anomaly_row, newest_anomalies
from pipelines.health.demo.svg_chart import line_chart
from pipelines.health.worked_example import EXPECTED, found_figures

_Document = Mapping[str, Any]
_SHOWN_ANOMALIES = 25
_SHORT_TEXT = 10

_STYLE = """
:root { color-scheme: light dark; --ink:#1b2430; --soft:#5b6776; --paper:#f6f7f9; --card:#fff; --line:#2563eb;
  --mark:#dc2626; --rule:#e2e6ec; }
@media (prefers-color-scheme: dark) { :root { --ink:#e8ecf2; --soft:#9aa6b5; --paper:#12161c; --card:#1b212a;
  --line:#7aa7ff; --mark:#ff7b72; --rule:#2d3642; } }
body { margin:0 auto; max-width:900px; padding:24px 16px; background:var(--paper); color:var(--ink);
  font:16px/1.5 system-ui, sans-serif; }
section { background:var(--card); border:1px solid var(--rule); border-radius:12px; padding:16px 20px;
  margin:16px 0; overflow-x:auto; }
h1 { margin:0; font-size:1.6rem } h2 { margin:0 0 8px; font-size:1.1rem }
p { color:var(--soft); margin:4px 0 }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(130px,1fr)); gap:12px }
.tile b { display:block; font-size:1.6rem } .tile span { color:var(--soft); font-size:.85rem }
table { border-collapse:collapse; width:100%; font-size:.9rem } th { text-align:left; color:var(--soft) }
td, th { padding:6px 10px 6px 0; border-bottom:1px solid var(--rule) }
.short { white-space:nowrap }
svg { width:100%; height:auto } svg text { fill:var(--soft); font-size:12px }
@media (max-width: 500px) { svg text { font-size:16px } body { padding:12px 8px } section { padding:12px } }
svg .end { text-anchor:end } .grid { stroke:var(--rule) }
.line { fill:none; stroke:var(--line); stroke-width:2 }
.dot { fill:var(--line) } .mark { fill:none; stroke:var(--mark); stroke-width:3 }
.level { stroke:var(--soft); stroke-dasharray:6 4 }
"""


def write_report(
    path: Path, documents: Sequence[_Document], summary: Mapping[str, Any], pattern_user: Any
) -> Path:
    """Write the report of `documents` (analytics) and return its path.

    `summary` has `users`, `documents` and `batches` (entries of the batch log).
    """
    pattern = [document for document in documents if document["userId"] == pattern_user]
    anomalies = newest_anomalies(documents)
    body = "".join(
        [
            _tiles(summary, len(anomalies)),
            _pattern(pattern),
            _worked_example(pattern),
            _anomalies(anomalies),
            _trends(documents),
            _batches(summary["batches"]),
        ]
    )
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Health analytics: demo report</title><style>{_STYLE}</style></head>"
        f"<body><h1>Health analytics</h1><p>What the demo's stream computed from simulated people.</p>{body}"
        "</body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    header = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{lines}</tbody></table>"


def _cell(text: str) -> str:
    """Short texts (days, ids, numbers) stay on one line; sentences wrap."""
    kind = ' class="short"' if len(text) <= _SHORT_TEXT else ""
    return f"<td{kind}>{escape(text)}</td>"


def _tiles(summary: Mapping[str, Any], anomalies: int) -> str:
    batches = summary["batches"]
    figures = {
        "users": summary["users"],
        "analytics documents": summary["documents"],
        "anomalies": anomalies,
        "batches": len(batches),
        "changes processed": sum(batch["records_processed"] for batch in batches),
    }
    tiles = "".join(
        f'<div class="tile"><b>{value:,}</b><span>{escape(name)}</span></div>'
        for name, value in figures.items()
    )
    return f'<section class="tiles">{tiles}</section>'


def _pattern(documents: Sequence[_Document]) -> str:
    by_range = {d["timeRange"]: d for d in documents if d["metricType"] == "steps"}
    month, week = by_range["30day"], by_range["7day"]
    history = month["historicalData"]
    line = [(point["date"].timestamp(), point["value"]) for point in history]
    details = month["analytics"]["anomalyDetails"]
    marks = []
    if details:
        marks = [(details["detectedAt"].timestamp(), details["actualValue"], details["message"])]
    labels = (f"{history[0]['date']:%d %b %Y}", f"{history[-1]['date']:%d %b %Y}")
    average = week["analytics"]["rollingAverage"]
    chart = line_chart("Steps a day of the pattern user", line, marks, average, labels)
    anomaly = escape(details["message"]) if details else "none"
    note = f"<p>Dashed: 7-day average {average:,.2f}. Ring: {anomaly}.</p>"
    return _section("The pattern user's steps", chart + note)


def _worked_example(documents: Sequence[_Document]) -> str:
    rows = [(name, EXPECTED[name], found) for name, found in found_figures(documents).items()]
    return _section("The worked example", _table(("figure", "expected", "found"), rows))


def _anomalies(anomalies: Sequence[_Document]) -> str:
    rows = [anomaly_row(document) for document in anomalies[:_SHOWN_ANOMALIES]]
    return _section(
        f"Anomalies, the newest of {len(anomalies)}", _table(("day", "user", "severity", "what"), rows)
    )


def _trends(documents: Sequence[_Document]) -> str:
    counts: dict[str, dict[str, int]] = {}
    for document in documents:
        if document["timeRange"] == "7day":
            trends = counts.setdefault(document["metricType"], {"up": 0, "stable": 0, "down": 0})
            trends[document["analytics"]["trend"]] += 1
    rows = [(metric, *(str(n) for n in trends.values())) for metric, trends in counts.items()]
    return _section("Users by 7-day trend", _table(("metric", "up", "stable", "down"), rows))


def _batches(batches: Sequence[Mapping[str, Any]]) -> str:
    line = [(float(index), float(batch["processing_time_ms"])) for index, batch in enumerate(batches)]
    chart = line_chart("Duration of each batch in milliseconds", line, x_labels=("first", "last"))
    return _section("Batch durations, ms", chart)
