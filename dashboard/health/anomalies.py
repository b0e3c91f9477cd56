"""Anomalies: what stands out about anybody, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import streamlit as st

from analytics.health.unusual import Unusual, events_of
from contracts.health_metrics import METRICS
from dashboard import frame
from dashboard.data.health_data import HealthData
from dashboard.data.recent import LOOK_AT, Recent, unusual_in
from dashboard.health import events, verdicts
from dashboard.health.names import SEVERITIES, metric_name
from dashboard.text import ago, day_text

_SHOWN = 20
_SPANS = {"Today": 1, "7 days": 7, "30 days": 30, "90 days": 90}


def render(data: HealthData) -> None:
    """Draw the page."""
    loaded, today = data.recent(), data.today()
    frame.heading("Anomalies", _verdict(loaded.value, data, today))
    recent = frame.age("Results from MongoDB", loaded)
    if recent is None:
        return
    if not recent.documents:
        frame.empty_collection()
        return
    newest = f" The newest result was calculated {ago(recent.newest, recent.now)}." if recent.newest else ""
    st.markdown(
        "What stands out is a value more than two standard deviations away from the person's 30 days before; "
        f"of each person and metric the service keeps the latest one of 90 days.{newest}"
    )
    _completeness(recent, data.timezone)
    found = _filtered(unusual_in(recent.anomalies), today)
    shown = events.chosen(found, data.least, "small")
    frame.section(f"{len(shown):,} found")
    if not shown:
        st.markdown("Nothing matches; choose more days, severities or metrics.")
        return
    events.told(shown, data.least, today, _SHOWN)
    events.event_chart(shown)
    keys = {(one.user, one.day) for one in shown}
    rows = recent.anomalies
    chosen = [pair in keys for pair in zip(rows["user"], rows["day"], strict=True)]
    frame.download("Download as CSV", rows[chosen], "anomalies.csv")


def _verdict(recent: Recent | None, data: HealthData, today: date) -> str:
    if recent is None:
        return verdicts.everybody(None, None)
    found = events_of(unusual_in(recent.anomalies), data.least)[0]
    month = [one for one in found if one.day > today - timedelta(days=30)]
    new, old = events.split(month, today)
    return verdicts.found(len(new), len(old), 30)


def _completeness(recent: Recent, zone: str) -> None:
    since = recent.complete_since(zone)
    if since is None:
        return
    frame.hint(
        f"Read from the newest {LOOK_AT:,} of about {recent.documents:,} documents: none is missing since "
        f"{day_text(since)}, older days may lack some. A person's page shows all of that person."
    )


def _filtered(found: Sequence[Unusual], today: date) -> list[Unusual]:
    with st.container(horizontal=True):
        span = st.selectbox("Days", list(_SPANS), index=2, width=130, key="days", bind="query-params")
        severities = st.multiselect(
            "Severity", list(SEVERITIES), placeholder="All", width=260, key="severity", bind="query-params"
        )
        metrics = st.multiselect(
            "Metric", list(METRICS), format_func=metric_name, placeholder="All", width=320, key="metrics"
        )
        user = st.text_input("User id contains", width=240, key="contains").strip().lower()
    first = today - timedelta(days=_SPANS[span] - 1)
    return [
        one
        for one in found
        if one.day >= first
        and (not severities or one.severity in severities)
        and (not metrics or one.metric in metrics)
        and user in one.user.lower()
    ]
