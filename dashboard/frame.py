"""What every page is framed by: heading, age of the data, faults, figures, charts with their tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import pandas as pd
import streamlit as st

from dashboard import charts
from dashboard.data.batch_logs import BatchLog
from dashboard.data.remembered import Loaded
from dashboard.text import ago, csv_bytes, plain, plain_frame, utc
from told import told

T = TypeVar("T")
# A frame, or its columns by name.
Table: TypeAlias = "pd.DataFrame | Mapping[str, Sequence[object]]"
# Streamlit itself aligns each cell by its type, and here all of them are text.
_RIGHT: Final = "text-align: right !important; font-variant-numeric: tabular-nums"


def heading(title: str, purpose: str) -> None:
    """The page's only first-level heading and one line on what it is for."""
    st.title(title, anchor=False)
    st.markdown(purpose)


def section(title: str) -> None:
    """A second-level heading."""
    st.header(title, anchor=False, divider=False)


def age(what: str, loaded: Loaded[T]) -> T | None:
    """Returns the value, after telling why `what` cannot be read now, if so, and of when it is.

    How old the data is stands above each page (dashboard.standing).
    """
    if loaded.fault is not None:
        as_of = loaded.as_of
        kept = "Nothing was read yet."
        if as_of is not None:
            since = ago(as_of, datetime.now(timezone.utc))
            kept = f"{plain(what)} are shown in the last state that could be read, of {utc(as_of)} ({since})."
        st.error(f"{plain(loaded.fault)} {kept}", icon=":material/cloud_off:")
    return loaded.value


def figures(values: Mapping[str, tuple[str, str | None]]) -> None:
    """Tiles that wrap on narrow screens: name, then (figure, explanation or None)."""
    with st.container(horizontal=True):
        for name, (value, explanation) in values.items():
            st.metric(name, plain(value), border=True, width="stretch", help=explanation)


def chart(drawing: charts.Drawing, alternative: str, values: Table | None) -> None:
    """A chart, named for screen readers by `alternative`, with its `values` as a table below.

    None: the page itself shows them in a table.
    """
    st.altair_chart(charts.readable(drawing), width="stretch", alt=alternative)
    if values is not None:
        with st.expander("The chart's values as a table"):
            table(values, alternative, 320)


def table(values: Table, alternative: str, height: int | None = None, numbers: Collection[str] = ()) -> None:
    """A real HTML table, which screen readers can walk through; cells are inert unless text.Markdown.

    The columns `numbers` are aligned right, so that their digits stand below one another.
    """
    shown = plain_frame(pd.DataFrame(values))
    right = [place for place, name in enumerate(shown.columns) if name in numbers]
    shown.columns = [plain(name) for name in shown.columns]
    drawn = shown.style.set_table_styles([{"selector": f".col{place}", "props": _RIGHT} for place in right])
    st.table(drawn, border="horizontal", hide_index=True, alt=alternative, height=height or "content")


def empty_collection() -> None:
    """What to do when there are no analytics yet."""
    hint(
        f"There are no analytics yet. Start the service with `{told('run')}`; the first batch fills this "
        "page. If it runs already, compare its MONGO_URI, MONGO_DB_NAME and ANALYTICS_COLLECTION with the "
        "dashboard's."
    )


def batch_log(log: Loaded[BatchLog], folder: Path) -> BatchLog | None:
    """The age of the log; the log when it has batches, else what to do is shown and there is none."""
    value = age("Batch log", log)
    if value is not None and value.batches.empty:
        hint(
            f"There is no batch log in {plain(folder)}. The service writes it with its first batch; where it "
            "runs on another machine, set LOG_DIRECTORY and METRICS_DIRECTORY to copies of its folders."
        )
        return None
    return value


def hint(text: str) -> None:
    """What to know, or to do, where there is nothing to show."""
    st.info(text, icon=":material/info:")


def download(label: str, values: pd.DataFrame, name: str) -> None:
    """A button that gives `values` as the CSV file `name`."""
    # Made when it is asked for: a file that each run of the page replaces may be gone before it is fetched.
    st.download_button(label, lambda: csv_bytes(values), name, "text/csv", icon=":material/download:")
