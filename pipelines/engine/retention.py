"""What a pipeline keeps for some days only, where a setting says so: logs, letters and its own data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from contracts import ServiceError

if TYPE_CHECKING:
    from pipelines.engine.pipeline import Pipeline
    from settings import Settings


@dataclass(frozen=True)
class Kept:
    """What `setting` keeps for a number of `days`; 0 is for ever.

    `remove` takes away what is older than a moment, and returns how many; with True it only counts them.
    """

    what: str
    setting: str
    days: int
    remove: Callable[[datetime, bool], int]


def kept(pipeline: Pipeline, settings: Settings) -> Iterator[Kept]:
    """All that the pipeline keeps; no server is asked before something is to be removed."""
    prefix = pipeline.name if pipeline.prefixed else ""
    logs = partial(_remove_logs, settings.log_directory, prefix)
    yield Kept("files of the batch log", "LOG_KEEP_DAYS", settings.log_keep_days, logs)
    letters = partial(_remove_letters, pipeline, settings)
    yield Kept("dead letters", "DLQ_KEEP_DAYS", settings.dlq_keep_days, letters)
    yield from pipeline.keeps(settings) if pipeline.keeps else ()


def kept_by_all(settings: Settings) -> Iterator[Kept]:
    """What the pipelines keep together."""
    acts = partial(_remove_acts, settings.log_directory)
    yield Kept("files of the log of acts", "ACTS_KEEP_DAYS", settings.acts_keep_days, acts)


def _remove_logs(directory: Path, prefix: str, before: datetime, dry_run: bool) -> int:
    from monitoring.log_files import files_before

    return _remove(directory, lambda: files_before(directory, prefix, before.date()), dry_run)


def _remove_acts(directory: Path, before: datetime, dry_run: bool) -> int:
    from monitoring.log_files import acts_before

    return _remove(directory, lambda: acts_before(directory, before.date()), dry_run)


def _remove(directory: Path, find: Callable[[], list[Path]], dry_run: bool) -> int:
    try:
        found = find()
        for path in [] if dry_run else found:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ServiceError(
            f"Old logs cannot be removed from LOG_DIRECTORY={directory} ({error.strerror}). Make it writable."
        ) from error
    return len(found)


def _remove_letters(pipeline: Pipeline, settings: Settings, before: datetime, dry_run: bool) -> int:
    letters = pipeline.open_letters(settings)
    found = [*letters.last_seen_before(before), *letters.leftovers(before)]
    if not dry_run:
        letters.remove(found)
    return len(found)
