"""The files of the batch log by the days in their names, and the one way to read the batches in them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.iso_times import read_time

_LOG = r"batch_logs_\d{8}\.jsonl"
_ACTS = re.compile(r"acts_(\d{8})\.jsonl")
_REST = r"batch_(?:logs_(\d{8})\.jsonl|history_(\d{8})_\d{6}(?:_\d+)?\.json)"

Entry = tuple[Mapping[str, Any], datetime]


@dataclass(frozen=True, slots=True)
class LoggedBatch:
    """A batch of the log, between `start` and `end`; `written` results were inserted or updated by it.

    Each process counts its batches from 1, so that `batch_id` may come again.
    """

    batch_id: str
    start: datetime
    end: datetime
    written: int


def files_before(directory: Path, prefix: str, day: date) -> list[Path]:
    """A pipeline's logs and histories of days before `day`; `prefix` is its name, empty for health.

    Files with other names are none of ours. Raises OSError when the folder cannot be read.
    """
    return _named_before(directory, re.compile(f"{re.escape(prefix)}_{_REST}" if prefix else _REST), day)


def acts_before(directory: Path, day: date) -> list[Path]:
    """The files of monitoring.act_log of days before `day`. Raises OSError when they cannot be listed."""
    return _named_before(directory, _ACTS, day)


def _named_before(directory: Path, name: re.Pattern[str], day: date) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _is_before(name.fullmatch(path.name), day))


def files_of(directory: Path, prefix: str) -> list[Path]:
    """All logs and histories of a pipeline, and the logs of acts, which are of every pipeline.

    Raises OSError when the folder cannot be read.
    """
    name = re.compile(f"{re.escape(prefix)}_{_REST}" if prefix else _REST)
    if not directory.is_dir():
        return []
    found = (path for path in directory.iterdir() if name.fullmatch(path.name) or _ACTS.fullmatch(path.name))
    return sorted(found)


def logs_since(directory: Path, prefix: str, day: date) -> list[Path]:
    """A pipeline's logs, one a day, of `day` and later, by day; none where there is no folder."""
    name = re.compile(rf"{re.escape(prefix)}_{_LOG}" if prefix else _LOG)
    if not directory.is_dir():
        return []
    found = ((path.name, path) for path in directory.iterdir() if name.fullmatch(path.name))
    return [path for file, path in sorted(found) if file[-14:-6] >= f"{day:%Y%m%d}"]


def newest_batches(directory: Path, prefix: str = "") -> Iterator[LoggedBatch]:
    """A pipeline's batches, the newest first; one day's are held at once. Raises OSError."""
    for entry in newest_entries(directory, prefix):
        if entry and (batch := _batch(*entry)):
            yield batch


def newest_entries(
    directory: Path, prefix: str = "", files: int | None = None, bytes_a_file: int | None = None
) -> Iterator[Entry | None]:
    """What `entries` has of a pipeline's logs, the newest first, of the ends of its newest `files`.

    Of each at most the last `bytes_a_file` are read. Raises OSError.
    """
    for path in reversed(logs_since(directory, prefix, date(1970, 1, 1))[-(files or 0) :]):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            skipped = max(0, size - bytes_a_file) if bytes_a_file else 0
            file.seek(skipped)
            lines = file.read(size - skipped).splitlines()
        # The first line of a file read from its middle is a part of one.
        yield from (_entry(line) for line in reversed(lines[bool(skipped) :]) if line.strip())


def entries(path: Path) -> Iterator[Entry | None]:
    """Each line of a log with the time at which its batch ended, None for what is no batch."""
    with path.open("rb") as file:
        yield from (_entry(line) for line in file if line.strip())


def _entry(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
        end = read_time(entry["end_time"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return (entry, end) if end.utcoffset() == timedelta(0) else None


def _batch(entry: Mapping[str, Any], end: datetime) -> LoggedBatch | None:
    try:
        start = read_time(entry["start_time"])
        written = entry.get("analytics_written", 0)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if start.utcoffset() != timedelta(0) or not isinstance(written, int):
        return None
    return LoggedBatch(str(entry.get("batch_id", "")), start, end, written)


def _is_before(found: re.Match[str] | None, day: date) -> bool:
    if found is None:
        return False
    try:
        return datetime.strptime(f"{next(filter(None, found.groups()))}+0000", "%Y%m%d%z").date() < day
    except ValueError:
        return False
