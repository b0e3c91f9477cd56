"""What several health pages show: a stream that stands still, links to people, the table of batches."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Final
from urllib.parse import quote

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.data.health_data import HealthData
from dashboard.health.names import STATUSES
from dashboard.text import Markdown, ago, figure, short_time

# As the alert HealthPollStalled: three intervals, at least these seconds.
_STANDSTILL_SECONDS: Final = 300
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")


def user_link(user: str) -> str:
    """Returns the end of the id as a link to the user's page; an id that is no ObjectId without a link."""
    if not _OBJECT_ID.fullmatch(user):
        return user
    return Markdown(f"[…\u2060{user[-6:]}](user?user={quote(user)})")


def standstill(data: HealthData) -> None:
    """Warn when the stream, by its metrics file, has not asked for changes for three intervals."""
    metrics = data.metrics().value
    values = metrics.values if metrics else {}
    polled, interval = (
        values.get(f"health_{name}_seconds") for name in ("last_poll_timestamp", "batch_interval")
    )
    # A one-shot run has no interval.
    if not polled or not interval:
        return
    now, last = datetime.now(timezone.utc), datetime.fromtimestamp(polled, timezone.utc)
    if (now - last).total_seconds() > max(3 * interval, _STANDSTILL_SECONDS):
        st.warning(
            f"The service last asked for changes {ago(last, now)}: it does not run, or cannot. What is shown "
            "may be older than the data.",
            icon=":material/warning:",
        )


def batch_table(batches: pd.DataFrame, title: str) -> None:
    """Draw rows of data.batch_logs' `batches`, in their order."""
    columns = {
        "Ended (UTC)": [short_time(end) for end in batches["end"]],
        "Status": [STATUSES.get(status, status) for status in batches["status"]],
        "Seconds": [figure(ms / 1000, digits=2) for ms in batches["processing_time_ms"]],
        "Changes": [figure(count) for count in batches["records_processed"]],
        "Users": [figure(count) for count in batches["users"]],
        "Written": [figure(count) for count in batches["analytics_written"]],
        "Skipped": [figure(count) for count in batches["analytics_skipped"]],
        "Errors": [figure(count) for count in batches["errors_count"]],
        "Batch": list(batches["batch_id"]),
    }
    frame.table(columns, title)
