"""The files of the batch log by the days in their names."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path

_REST = r"batch_(?:logs_(\d{8})\.jsonl|history_(\d{8})_\d{6}(?:_\d+)?\.json)"


def files_before(directory: Path, prefix: str, day: date) -> list[Path]:
    """A pipeline's logs and histories of days before `day`; `prefix` is its name, empty for health.

    Files with other names are none of ours. Raises OSError when the folder cannot be read.
    """
    name = re.compile(f"{re.escape(prefix)}_{_REST}" if prefix else _REST)
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _is_before(name.fullmatch(path.name), day))


def _is_before(found: re.Match[str] | None, day: date) -> bool:
    if found is None:
        return False
    try:
        return datetime.strptime(f"{found[1] or found[2]}+0000", "%Y%m%d%z").date() < day
    except ValueError:
        return False
