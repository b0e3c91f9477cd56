"""Anomalies: the unusual values of all users, the newest first."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from contracts.health import METRICS
from dashboard import frame
from dashboard.data.health_data import HealthData
from dashboard.data.recent import LOOK_AT, Recent
from dashboard.health.names import SEVERITIES, metric_name
from dashboard.health.tables import anomaly_chart, anomaly_table, standstill
from dashboard.text import ago, day_text

_SHOWN = 50
_SPANS = {"Today": 1, "7 days": 7, "30 days": 30, "90 days": 90}


def render(data: HealthData) -> None:
    """Draw the page."""
    frame.heading(
        "Anomalies",
        "Values more than two standard deviations away from the person's 30 days before. For each person and "
        "metric the service keeps the latest one of the last 90 days.",
    )
    standstill(data)
    recent = frame.age("Results from MongoDB", data.recent())
    if recent is None:
        return
    if not recent.documents:
        frame.empty_collection()
        return
    if recent.newest:
        st.markdown(f"The newest result was calculated {ago(recent.newest, recent.now)}.")
    _completeness(recent, data.timezone)
    found = _filtered(recent.anomalies, data.timezone)
    frame.section(f"{len(found):,} found")
    if found.empty:
        st.markdown("Nothing matches; choose more days, severities or metrics.")
        return
    anomaly_chart(found)
    if len(found) > _SHOWN:
        st.markdown(f"The newest {_SHOWN} are shown; the download holds all {len(found):,}.")
    anomaly_table(found.head(_SHOWN), "Anomalies, the newest first")
    frame.download("Download as CSV", found, "anomalies.csv")


def _completeness(recent: Recent, zone: str) -> None:
    since = recent.complete_since(zone)
    if since is None:
        return
    frame.hint(
        f"Read from the newest {LOOK_AT:,} of about {recent.documents:,} documents: none is missing since "
        f"{day_text(since)}, older days may lack some. A person's page shows all of that person."
    )


def _filtered(anomalies: pd.DataFrame, zone: str) -> pd.DataFrame:
    with st.container(horizontal=True):
        span = st.selectbox("Days", list(_SPANS), index=2, width=130, key="days", bind="query-params")
        severities = st.multiselect(
            "Severity", list(SEVERITIES), placeholder="All", width=260, key="severity", bind="query-params"
        )
        metrics = st.multiselect(
            "Metric", list(METRICS), format_func=metric_name, placeholder="All", width=320, key="metrics"
        )
        user = st.text_input("User id contains", width=240, key="contains")
    today = datetime.now(ZoneInfo(zone)).date()
    first = today - pd.Timedelta(days=_SPANS[span] - 1)
    keep = anomalies["day"] >= first
    if severities:
        keep &= anomalies["severity"].isin(severities)
    if metrics:
        keep &= anomalies["metric"].isin(metrics)
    if user.strip():
        keep &= anomalies["user"].str.contains(user.strip(), case=False, regex=False)
    return anomalies[keep]
