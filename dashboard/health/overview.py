"""Overview: how many people, how fresh the results are, what stands out today, how batches go."""

from __future__ import annotations

from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard import charts, frame
from dashboard.data.batch_logs import MAX_BATCHES, BatchLog
from dashboard.data.health_data import HealthData
from dashboard.data.recent import LOOK_AT, Recent
from dashboard.data.remembered import Loaded
from dashboard.health.tables import anomaly_chart, anomaly_table, batch_table, standstill
from dashboard.text import ago

_SHOWN = 5
_DAYS = 14
_Figures = dict[str, tuple[str, str | None]]


def render(data: HealthData) -> None:
    """Draw the page."""
    frame.heading("Overview", "Is everything computed, is it fresh, and does anything stand out?")
    standstill(data)
    log, recent = data.batch_log(), frame.age("Results from MongoDB", data.recent())
    if recent is not None and not recent.documents:
        frame.empty_collection()
    today = datetime.now(ZoneInfo(data.timezone)).date()
    frame.figures(_result_figures(recent, today, data.timezone) | _batch_figures(log.value))
    if recent is not None and recent.documents:
        _freshness(recent)
        _anomalies(recent, today)
    _batches(log, data)


def _result_figures(recent: Recent | None, today: date, zone: str) -> _Figures:
    if recent is None:
        return dict.fromkeys(("Users", "Newest result", "Anomalies today"), ("–", None))
    complete_since = recent.complete_since(zone)
    is_complete = complete_since is None or today >= complete_since
    found = int((recent.anomalies["day"] == today).sum())
    return {
        "Users": (
            f"{'' if recent.is_whole else '≈ '}{recent.user_count():,}",
            f"People with analytics. Above {LOOK_AT:,} documents it is estimated from documents a person.",
        ),
        "Newest result": (
            ago(recent.newest, recent.now) if recent.newest else "–",
            "When the service last calculated anything for anybody.",
        ),
        "Anomalies today": (
            f"{'' if is_complete else '≥ '}{found:,}",
            f"Values of today ({zone}) unusual for the person, in the newest {LOOK_AT:,} documents.",
        ),
    }


def _batch_figures(log: BatchLog | None) -> _Figures:
    if log is None or log.batches.empty:
        explanation = "There is no batch log in LOG_DIRECTORY."
        return dict.fromkeys(("Batches today", "Errors today"), ("–", explanation))
    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    today = log.batches[log.batches["end"] >= midnight]
    at_least = "≥ " if len(today) == MAX_BATCHES else ""
    return {
        "Batches today": (f"{at_least}{len(today):,}", "Ended since midnight UTC, from the batch log."),
        "Errors today": (
            f"{at_least}{int(today['errors_count'].sum()):,}",
            "Values refused, documents not written and failures in those batches.",
        ),
    }


def _freshness(recent: Recent) -> None:
    frame.section("How fresh the results are")
    windows = pd.DataFrame(
        {"calculated in the": list(recent.windows), "documents": list(recent.windows.values())}
    )
    if not recent.is_whole:
        st.markdown(f"Counted up to {LOOK_AT:,}; there are about {recent.documents:,} documents in all.")
    drawing = charts.horizontal_bars(windows, "calculated in the", "documents", "documents")
    parts = ", ".join(f"{count:,} in the {name}" for name, count in recent.windows.items())
    frame.chart(drawing, f"Documents by age of calculation: {parts}.", windows)


def _anomalies(recent: Recent, today: date) -> None:
    frame.section(f"Anomalies of the last {_DAYS} days")
    first = today - pd.Timedelta(days=_DAYS - 1)
    shown = recent.anomalies[recent.anomalies["day"] >= first]
    if shown.empty:
        st.markdown("None.")
        return
    anomaly_chart(shown)
    anomaly_table(shown.head(_SHOWN), "The latest anomalies")


def _batches(log: Loaded[BatchLog], data: HealthData) -> None:
    frame.section("Latest batches")
    shown = frame.batch_log(log, data.log_directory)
    if shown is not None:
        batch_table(shown.batches.head(_SHOWN), "The latest batches")
