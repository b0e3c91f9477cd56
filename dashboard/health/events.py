"""What stands out, for people: one event a person and day, in words, the new apart from the old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pandas as pd
import streamlit as st

from analytics.health.unusual import Event, Unusual, events_of, sentence
from analytics.health.words import amount, listed, plural
from contracts.effects import LeastEffect
from contracts.health_metrics import METRICS
from dashboard import charts, frame
from dashboard.health.names import SEVERITIES
from dashboard.health.tables import user_link
from dashboard.text import NBSP, Markdown, day_text, plain

Least = Mapping[str, LeastEffect]


def chosen(found: Sequence[Unusual], least: Least, key: str) -> list[Event]:
    """`found` as events; says how many are too small to tell, with a toggle that shows them."""
    events, hidden = events_of(found, least)
    if not hidden:
        return events
    asked = st.toggle(f"Show the {plural(hidden, 'small one')} too", key=key, bind="query-params")
    if asked:
        return events_of(found, {})[0]
    st.markdown(
        f"{plural(hidden, 'unusual value')} {'is' if hidden == 1 else 'are'} hidden: less than "
        f"{_limits(least)} away from the usual."
    )
    return events


def _limits(least: Least) -> str:
    """The least effects as a person reads them: `1 kg of weight, 1 h of sleep, 50 % of anything else`."""
    shares: dict[str, list[str]] = {}
    for metric, effect in least.items():
        about = METRICS[metric]
        unit = "%" if effect.is_share else about.unit
        size = f"{amount(effect.least * 100 if effect.is_share else effect.least)}\xa0{unit}"
        shares.setdefault(size, []).append(about.label.lower())
    most = max(shares, key=lambda size: len(shares[size]))
    named = [f"{size} of {listed(names)}" for size, names in shares.items() if size != most]
    return listed([*named, f"{most} of {'anything else' if named else 'anything'}"])


def split(events: Sequence[Event], today: date) -> tuple[list[Event], list[Event]]:
    """Those of yesterday and later, and the older ones."""
    since = today - timedelta(days=1)
    return [one for one in events if one.day >= since], [one for one in events if one.day < since]


def told(events: Sequence[Event], least: Least, today: date, most: int, with_user: bool = True) -> None:
    """Draw `events`, `most` of each group: new since yesterday, and those that are still there."""
    for title, group in zip(("New since yesterday", "Still there"), split(events, today), strict=True):
        if not group:
            continue
        more = f" (the newest {most} of {len(group):,})" if len(group) > most else ""
        st.markdown(f"**{title}**{more}")
        event_table(group[:most], least, title, with_user)


def event_table(events: Sequence[Event], least: Least, title: str, with_user: bool = True) -> None:
    """Draw `events` in their order: what, when, how far from the usual."""
    columns: dict[str, list[str]] = {"Day": [f"{one.day:%d{NBSP}%b}" for one in events]}
    if with_user:
        columns["Who"] = [user_link(one.user) for one in events]
    columns["What"] = [sentence(one, least) for one in events]
    columns["Severity"] = [SEVERITIES.get(one.severity, one.severity) for one in events]
    frame.table(columns, title)


def event_chart(events: Sequence[Event]) -> None:
    """Draw how many of `events` each day has, by severity."""
    rows = pd.DataFrame({"day": [one.day for one in events], "severity": [one.severity for one in events]})
    counts = rows.groupby(["day", "severity"]).size().rename("count").reset_index()
    totals = rows["severity"].value_counts()
    parts = ", ".join(f"{totals.get(severity, 0)} {severity}" for severity in SEVERITIES)
    first, last = rows["day"].min(), rows["day"].max()
    alternative = f"People who stand out, by day from {day_text(first)} to {day_text(last)}: {parts}."
    frame.chart(charts.anomalies_by_day(counts), alternative, counts.sort_values("day", ascending=False))


def link_and_sentence(event: Event, least: Least) -> str:
    """`…e2983f walked 29,763 steps, three times the usual`, as Markdown with a link to the person."""
    link = user_link(event.user)
    shown = str(link) if isinstance(link, Markdown) else plain(link)
    return f"{shown} {plain(sentence(event, least))}"
