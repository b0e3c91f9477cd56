"""The newest batches from `LOG_DIRECTORY`, read from the ends of the daily JSONL files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pandas as pd

from contracts import end_of
from dashboard.data.values import number, text

MAX_BATCHES: Final = 500
# A service that has been idle for a week has written no file meanwhile; more files than these are history.
_MAX_FILES: Final = 7
_MAX_BYTES_A_FILE: Final = 2_000_000
_NAME: Final = re.compile(r"batch_logs_\d{8}\.jsonl")
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
    for line in _newest_lines(folder):
        entry = _entry(line)
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
    entries = map(_entry, islice(_newest_lines(folder, prefix), MAX_BATCHES))
    ends = (entry["end"] for entry in entries if entry is not None and entry["status"] != "failed")
    newest = next(ends, None)
    return newest.astimezone(timezone.utc) if newest else None


def _newest_lines(folder: Path, prefix: str = "") -> Iterator[bytes]:
    """Lines of the newest files, the last line first."""
    stem = f"{prefix}_" if prefix else ""
    found = (file.name for file in folder.glob(f"{stem}batch_logs_*.jsonl"))
    names = sorted((name for name in found if _NAME.fullmatch(name.removeprefix(stem))), reverse=True)
    for name in names[:_MAX_FILES]:
        path = folder / name
        if not path.is_file():
            continue
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _MAX_BYTES_A_FILE))
            lines = file.read(_MAX_BYTES_A_FILE).splitlines()
        # The first line of a file read from its middle is a part of one.
        yield from reversed([line for line in lines[size > _MAX_BYTES_A_FILE :] if line.strip()])


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
        start, end = (datetime.fromisoformat(fields[name]) for name in ("start_time", "end_time"))
        aware = start.tzinfo is not None and end.tzinfo is not None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not aware:
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
