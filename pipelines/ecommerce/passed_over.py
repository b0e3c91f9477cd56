"""Tells of files that are not read, of which nothing counts, or that changed later: each name once."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from analytics.ecommerce.rules import WHOLE_FILES
from monitoring.logs import get_logger
from sinks.stream_letters import RejectedRecord
from sources.ecommerce.changed_files import ChangedFiles
from sources.ecommerce.csv_files import passed_over
from sources.ecommerce.csv_reader import WHOLE_FILE

logger = get_logger(__name__)

_NAMES_SHOWN = 5
# Of a batch, so that a folder of foreign files does not fill the log.
_FILES_TOLD = 20


class PassedOver:
    """Looks into `folder` when it is called, but not more often than every `seconds`.

    `changed` finds files that changed after they were read. Of `unreadable`, which others fill, nothing more
    is told: `dlq retry --pipeline ecommerce` reads those again.
    """

    def __init__(
        self, folder: Path, encoding: str, seconds: float, changed: ChangedFiles, unreadable: Collection[str]
    ) -> None:
        self._folder = folder
        self._encoding = encoding
        self._changed = changed
        self._unreadable = unreadable
        self._seconds = seconds
        self._next = float("-inf")
        self._known: set[str] = set()

    def start(self) -> None:
        """Before the first batch."""
        self.look()

    def look(self, at_once: bool = False) -> None:
        """Warn of what came since; a folder that cannot be read is another's to tell."""
        if not at_once and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._seconds
        self._tell_others()
        self._tell_changed()

    def _tell_others(self) -> None:
        try:
            found = dict(passed_over(self._folder, self._encoding))
        except OSError:
            return
        fresh: dict[str, list[str]] = {}
        for name, reason in found.items():
            if name not in self._known:
                fresh.setdefault(reason, []).append(name)
        self._known = set(found)
        for reason, names in sorted(fresh.items()):
            logger.warning(f"📂 Not read in {self._folder}: {_shown_names(names)} ({reason})")

    def _tell_changed(self) -> None:
        try:
            names = self._changed.look()
        except (OSError, ValueError, LookupError):
            # The batch needs the same notes, and tells.
            return
        unreadable = {Path(path).name for path in self._unreadable}
        names = [name for name in names if name not in unreadable]
        if names:
            logger.warning(
                f"📂 Changed after it was read: {_shown_names(names)}. Nothing of the change was taken, "
                "unless by `dlq retry --pipeline ecommerce`. Give it another name."
            )


def _shown_names(names: list[str]) -> str:
    shown = ", ".join(shown_name(name) for name in sorted(names)[:_NAMES_SHOWN])
    return f"{shown} and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else shown


def telling_whole_files(
    refused: Iterable[RejectedRecord], unreadable: set[str] | None = None
) -> Iterator[RejectedRecord]:
    """Pass `refused` on, and warn of files that were refused as a whole, the first 20 of them.

    Files that could not be read to their end go to `unreadable`.
    """
    told: set[tuple[str, str]] = set()
    for record in refused:
        file = (record.source, record.reason)
        if unreadable is not None and record.position == WHOLE_FILE:
            unreadable.add(record.source)
        if record.reason in WHOLE_FILES and file not in told and len(told) < _FILES_TOLD:
            told.add(file)
            logger.warning(
                f"📄 {shown_name(record.source)}: {WHOLE_FILES[record.reason]}; "
                "see `dlq list --pipeline ecommerce`"
            )
        yield record


def shown_name(name: str) -> str:
    """A file's name on one line, whatever it holds."""
    return name if name.isprintable() else repr(name)
