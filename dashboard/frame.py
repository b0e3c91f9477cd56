"""The parts of every page: heading, age of the data, faults, figures, charts with their tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import charts
from dashboard.data.batch_logs import BatchLog
from dashboard.data.remembered import Loaded
from dashboard.text import ago, plain, plain_frame, utc


def heading(title: str, purpose: str) -> None:
    """Draw the page's only first-level heading, and one line on its `purpose`."""
    st.title(title, anchor=False)
    st.markdown(purpose)


def section(title: str) -> None:
    """Draw a second-level heading."""
    st.header(title, anchor=False, divider=False)


def age(what: str, loaded: Loaded[Any]) -> None:
    """Draw when `what` was read, and the fault because of which it is not newer, if any."""
    if loaded.as_of is not None:
        st.markdown(
            f"{what} as of **{utc(loaded.as_of)}** ({ago(loaded.as_of, datetime.now(timezone.utc))})."
        )
    if loaded.fault is None:
        return
    kept = "What is shown is the last state that could be read." if loaded.as_of else "Nothing was read yet."
    st.error(f"{plain(loaded.fault)} {kept}", icon=":material/cloud_off:")


def figures(values: Mapping[str, tuple[str, str | None]]) -> None:
    """Draw `values` as tiles that wrap on narrow screens: name, then (figure, explanation or None)."""
    with st.container(horizontal=True):
        for name, (value, explanation) in values.items():
            st.metric(name, plain(value), border=True, width="stretch", help=explanation)


def chart(drawing: charts.Drawing, alternative: str, values: pd.DataFrame) -> None:
    """Draw a chart, named for screen readers by `alternative`, with its `values` as a table below."""
    st.altair_chart(charts.readable(drawing), width="stretch", alt=alternative)
    with st.expander("The chart's values as a table"):
        table(values, alternative, 320)


def table(values: pd.DataFrame, alternative: str, height: int | None = None) -> None:
    """Draw an HTML table, which screen readers can walk through; cells are inert unless text.Markdown."""
    shown = plain_frame(values)
    shown.columns = [plain(name) for name in shown.columns]
    st.table(shown, border="horizontal", hide_index=True, alt=alternative, height=height or "content")


def empty_collection() -> None:
    """Draw what to do while there are no analytics."""
    st.info(
        "There are no analytics yet. Start the service with `python main.py`; the first batch fills this "
        "page. If it runs already, compare its MONGO_URI, MONGO_DB_NAME and ANALYTICS_COLLECTION with the "
        "dashboard's.",
        icon=":material/info:",
    )


def batch_log(log: Loaded[BatchLog], folder: Path) -> BatchLog | None:
    """Draw the age of the log and return it; without batches draw what to do, and return None."""
    age("Batch log", log)
    if log.value is not None and log.value.batches.empty:
        _no_batch_log(folder)
        return None
    return log.value


def _no_batch_log(folder: Path) -> None:
    st.info(
        f"There is no batch log in {plain(folder)}. The service writes it with its first batch; where it "
        "runs on another machine, set LOG_DIRECTORY and METRICS_DIRECTORY to copies of its folders.",
        icon=":material/info:",
    )
