"""The files of the batch log by the days in their names."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path

_LOG = r"batch_logs_\d{8}\.jsonl"
_REST = r"batch_(?:logs_(\d{8})\.jsonl|history_(\d{8})_\d{6}(?:_\d+)?\.json)"


def files_before(directory: Path, prefix: str, day: date) -> list[Path]:
    """A pipeline's logs and histories of days before `day`; `prefix` is its name, empty for health.

    Files with other names are none of ours. Raises OSError when the folder cannot be read.
    """
    name = re.compile(f"{re.escape(prefix)}_{_REST}" if prefix else _REST)
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _is_before(name.fullmatch(path.name), day))


def logs_since(directory: Path, prefix: str, day: date) -> list[Path]:
    """A pipeline's logs, one a day, of `day` and later, by day; none where there is no folder."""
    name = re.compile(rf"{re.escape(prefix)}_{_LOG}" if prefix else _LOG)
    if not directory.is_dir():
        return []
    found = ((path.name, path) for path in directory.iterdir() if name.fullmatch(path.name))
    return [path for file, path in sorted(found) if file[-14:-6] >= f"{day:%Y%m%d}"]


def _is_before(found: re.Match[str] | None, day: date) -> bool:
    if found is None:
        return False
    try:
        return datetime.strptime(f"{found[1] or found[2]}+0000", "%Y%m%d%z").date() < day
    except ValueError:
        return False
