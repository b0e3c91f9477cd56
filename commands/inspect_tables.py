"""The tables and sparklines of `main.py inspect`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column
from rich.text import Text

from commands.terminal import sparkline, table
from contracts.health_metrics import METRICS
from sources.health.census import KINDS
from sources.health.inspection import CURRENT, STALE, WAITING, WITHOUT
from told import told

if TYPE_CHECKING:
    from commands.user_view import UserView

_KINDS = 5
_STANDINGS = {
    CURRENT: "",
    WAITING: " (waiting: the cursor is not at the newest change yet)",
    STALE: " (stale: the cursor is past a change that is not computed)",
    WITHOUT: " (the cursor is past all changes: no document counts, or they are older than where it began)",
}


def print_overview(facts: Mapping[str, Any], screen: Console) -> None:
    """Counts and dates, users not yet recomputed, newest documents."""
    rows = table("collection", Column("about", justify="right"), "field", "earliest", "latest")
    for each in facts["collections"]:
        missing = "none" if each["indexed"] else "no index"
        ends = [_moment(each[name]) or missing for name in ("earliest", "latest")]
        rows.add_row(each["collection"], f"{each['documents']:,}", each["field"], *ends)
    # A checkpoint of another folder or host is not known here.
    origin = " (none is stored: a first run begins there)" if facts["cursor_origin"] == "default" else ""
    cursor = f"cursor {_moment(facts['cursor'])}{origin}"
    screen.print(f"Database {facts['database']}, server time {_moment(facts['now'])}, {cursor}\n")
    screen.print(rows, "")
    _print_staleness(facts["staleness"], screen)
    _print_left_out(facts, screen)
    _print_newest(facts, screen)


def _print_staleness(stale: Mapping[str, Any] | None, screen: Console) -> None:
    if stale is None:
        screen.print(f"Staleness: no index on updatedAt to look it up by ({told('check')}).\n")
        return
    scope = "all" if stale["complete"] else "those changed last, not all"
    screen.print(f"Users looked at: {stale['users']:,} ({scope})")
    since = f", since {_moment(stale['waiting_since'])}" if stale["waiting"] else ""
    screen.print(f"Waiting, the cursor is not there yet: {stale['waiting']:,}{since}")
    names = ", ".join(str(user) for user in stale["examples"])
    more = f", since {_moment(stale['stale_since'])}, for example {names}" if names else ""
    screen.print(f"Stale, the cursor is past a change that is not computed: {stale['stale']:,}{more}")
    screen.print(
        f"Past the cursor and without any results (their documents may not count): {stale['without']:,}\n"
    )


def _print_left_out(facts: Mapping[str, Any], screen: Console) -> None:
    left_out = Counter(facts["sample"]["left_out_by_reason"])
    if left_out:
        kinds = ", ".join(f"{count:,} × {reason}" for reason, count in left_out.most_common(_KINDS))
        scope = (
            f"Left out of the {facts['sample']['documents']:,} documents changed last: {left_out.total():,}"
        )
        screen.print(Text(f"{scope} ({kinds}{', …' if len(left_out) > _KINDS else ''})"))
    for each in facts["unseen"]:
        more = "" if each["complete"] else " or more"
        screen.print(Text(f"Never polled, or not yet: {each['count']:,}{more}, {KINDS[each['kind']]}"))
    if left_out or facts["unseen"]:
        screen.print(f"{told('check')} tells what to do about them.\n")


def _print_newest(facts: Mapping[str, Any], screen: Console) -> None:
    rows = table("newest documents: user", "day", "source", "updatedAt")
    for each in facts["newest_documents"]:
        day = _day(each.get("date"))
        rows.add_row(str(each.get("userId")), day, str(each.get("source")), _moment(each["updatedAt"]))
    if facts["newest_documents"]:
        screen.print(rows, "")
    rows = table(
        "newest results: user", "metric", "range", Column("average", justify="right"), "calculatedAt"
    )
    for each in facts["newest_results"]:
        cells = [str(each.get(name)) for name in ("userId", "metricType", "timeRange")]
        analytics = each.get("analytics")
        number = _number(analytics.get("rollingAverage")) if isinstance(analytics, Mapping) else ""
        rows.add_row(*cells, number, _moment(each.get("calculatedAt")))
    if facts["newest_results"]:
        screen.print(rows)


def print_user(view: UserView, screen: Console) -> None:
    """The days as sparklines beside the 7-day results, then streak and anomalies."""
    screen.print(
        f"User {view.user}: {view.documents:,} documents, newest change {_moment(view.newest_change)}"
    )
    _print_ends(view, screen)
    span = f"{len(view.days)} days"
    screen.print(f"Calculated {_moment(view.calculated_at) or 'never'}{_STANDINGS[view.standing]}")
    screen.print(f"Shown: the {span} to {view.days[-1]:%Y-%m-%d}\n")
    right: dict[str, Any] = {"justify": "right"}
    heads = [Column(name, **right) for name in ("latest", "7 days", "trend", "pct")]
    rows = table("metric", Column(span, no_wrap=True), *heads)
    for metric, values in view.values.items():
        present = [value for value in values if value is not None]
        week = view.results.get((metric, "7day"), {}).get("analytics")
        if present or week:
            latest = _number(present[-1]) if present else ""
            rows.add_row(metric, Text(sparkline(values)), latest, *_week(week))
    screen.print(rows, "")
    _print_findings(view, screen)


def _print_ends(view: UserView, screen: Console) -> None:
    """Which of the documents count, and why the others do not; nothing where all do."""
    if view.reasons or view.ends["superseded"]:
        words = {"written": "count", "superseded": "superseded by a later one of their day"}
        told = [
            f"{count:,} {words.get(end, end.replace('_', ' '))}" for end, count in view.ends.items() if count
        ]
        screen.print(Text(f"Of the documents {', '.join(told)}"))
    for reason, count in sorted(view.reasons.items()):
        screen.print(Text(f"  {count:,} × {reason}"))


def _week(analytics: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if not analytics:
        return "", "", ""
    trend, percentile = analytics.get("trendPercentage"), analytics.get("percentile")
    return (
        _number(analytics.get("rollingAverage")),
        f"{trend:+.1f}%" if isinstance(trend, int | float) else str(trend),
        f"{percentile:.0f}" if isinstance(percentile, int | float) else str(percentile),
    )


def _print_findings(view: UserView, screen: Console) -> None:
    streaks = [name for name, metric in METRICS.items() if metric.streak]
    for metric in streaks:
        found = view.results.get((metric, "90day"), {}).get("analytics")
        if found:
            since = f" since {_day(found['streakStartDate'])}" if found.get("streakStartDate") else ""
            days, longest = found.get("streakDays"), found.get("longestStreak")
            of = f" of {metric}" if len(streaks) > 1 else ""
            screen.print(f"Streak{of}: {days} days{since}, longest {longest}", markup=False)
    for (_, time_range), document in sorted(view.results.items()):
        details = document["analytics"].get("anomalyDetails")
        if time_range == "90day" and isinstance(details, Mapping):
            told = f"Anomaly ({details.get('severity')}): {details.get('message')}"
            screen.print(Text(told, "yellow"))


def _moment(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else ""


def _day(value: Any) -> str:
    return f"{value:%Y-%m-%d}" if isinstance(value, datetime) else str(value)


def _number(value: Any) -> str:
    if not isinstance(value, (int, float)):
        return str(value or "")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.1f}"
