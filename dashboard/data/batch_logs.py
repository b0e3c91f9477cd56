"""The newest batches from `LOG_DIRECTORY`, read from the ends of the daily JSONL files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pandas as pd

from contracts import end_of
from contracts.iso_times import read_time
from dashboard.data.values import number, text
from monitoring.log_files import newest_entries

MAX_BATCHES: Final = 500
# A service that has been idle for a week has written no file meanwhile; more files than these are history.
_MAX_FILES: Final = 7
_MAX_BYTES_A_FILE: Final = 2_000_000
_NUMBERS: Final = (
    "processing_time_ms", "records_processed", "users", "analytics_written", "analytics_inserted",
    "analytics_updated", "analytics_skipped", "errors_count",
)  # fmt: skip
COLUMNS: Final = ("batch_id", "start", "end", "status", *_NUMBERS)


@dataclass(frozen=True)
class BatchLog:
    """`batches` (COLUMNS, the newest first; durations in ms, missing numbers 0) and what belongs to them.

    `errors` holds (end, batch id, message), `steps_ms` the median duration of each step, `rejected` how many
    values were refused for each reason, `left_out` how many documents were left out for each. `ends` says
    what became of the documents (contracts.ends), also where an older log has other words. `unreadable`
    counts lines that are not a batch.
    """

    batches: pd.DataFrame
    errors: list[tuple[datetime, str, str]]
    steps_ms: Mapping[str, float]
    rejected: Mapping[str, int]
    left_out: Mapping[str, int]
    ends: Mapping[str, int]
    unreadable: int


def read_batch_log(folder: Path) -> BatchLog:
    """The newest MAX_BATCHES batches; empty without a folder. Raises OSError when it may not be read."""
    entries, unreadable = [], 0
    for line in newest_entries(folder, "", _MAX_FILES, _MAX_BYTES_A_FILE):
        entry = _row(*line) if line else None
        if entry is None:
            unreadable += 1
        else:
            entries.append(entry)
        if len(entries) >= MAX_BATCHES:
            break
    rows = [{name: entry[name] for name in COLUMNS} for entry in entries]
    batches = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in ("start", "end"):
        batches[name] = pd.to_datetime(batches[name], utc=True)
    batches = batches.sort_values("end", ascending=False, kind="stable")
    steps = pd.DataFrame([entry["steps_ms"] for entry in entries]).median()
    counts = {
        name: dict(sum((Counter(entry[name]) for entry in entries), Counter()))
        for name in ("rejected", "left_out", "ends")
    }
    return BatchLog(
        batches=batches.reset_index(drop=True),
        errors=[(entry["end"], entry["batch_id"], error) for entry in entries for error in entry["errors"]],
        steps_ms={str(name): float(value) for name, value in steps.dropna().items()},
        **counts,
        unreadable=unreadable,
    )


def newest_success(folder: Path, prefix: str = "") -> datetime | None:
    """When the newest batch that did not fail ended, of the pipeline `prefix` ("" for health).

    None without one among the newest MAX_BATCHES. Raises OSError.
    """
    entries = islice(newest_entries(folder, prefix, _MAX_FILES, _MAX_BYTES_A_FILE), MAX_BATCHES)
    return next((one[1] for one in entries if one and one[0].get("status") != "failed"), None)


def _row(fields: Mapping[str, Any], end: datetime) -> dict[str, Any] | None:
    try:
        start = read_time(fields["start_time"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if start.tzinfo is None:
        return None
    return {
        "batch_id": text(fields.get("batch_id")),
        "start": start,
        "end": end,
        "status": text(fields.get("status")),
        **{name: number(fields.get(name)) or 0.0 for name in _NUMBERS},
        "errors": [text(error) for error in _list(fields.get("errors"))],
        "steps_ms": _numbers(fields.get("steps_ms")),
        "rejected": _counts(fields.get("rejected_by_reason")),
        "left_out": _counts(fields.get("left_out_by_reason")),
        "ends": _ends(fields.get("records_by_outcome")),
    }


def _counts(value: Any) -> dict[str, int]:
    return {name: int(count) for name, count in _numbers(value).items()}


def _ends(value: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, count in _counts(value).items():
        found[end_of(name)] += count
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _numbers(value: Any) -> dict[str, float]:
    pairs = value.items() if isinstance(value, Mapping) else ()
    return {text(name): found for name, item in pairs if (found := number(item)) is not None}
