"""Batch reports for the pages to show."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from contracts import BatchReport, WriteResult

START = datetime(2026, 11, 24, 23, 59, tzinfo=timezone.utc)


def report(number: int, **fields: Any) -> BatchReport:
    """Batch `number`, one a minute from START, 1.5 s long, with other `fields` as given."""
    start = START + timedelta(minutes=number)
    writes = WriteResult(inserted=1, updated=2)
    batch = BatchReport(
        f"batch_{number}", start, start + timedelta(seconds=1.5), records_processed=3, writes=writes, users=1
    )
    return replace(batch, **fields)
