"""What several health pages show: links to people, the table of batches."""

from __future__ import annotations

import re
from urllib.parse import quote

import pandas as pd

from dashboard import frame
from dashboard.health.names import STATUSES
from dashboard.text import Markdown, figure, short_time

_OBJECT_ID = re.compile(r"[0-9a-f]{24}")


def user_link(user: str) -> str:
    """Returns the end of the id as a link to the user's page; an id that is no ObjectId without a link."""
    if not _OBJECT_ID.fullmatch(user):
        return user
    return Markdown(f"[…\u2060{user[-6:]}](user?user={quote(user)})")


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
