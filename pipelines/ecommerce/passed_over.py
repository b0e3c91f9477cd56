"""Tells of files that are not read, or of which nothing counts: each name once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from analytics.ecommerce.rules import WHOLE_FILES
from monitoring.logs import get_logger
from sinks.stream_letters import RejectedRecord
from sources.ecommerce.csv_files import passed_over

logger = get_logger(__name__)

_NAMES_SHOWN = 5
# Of a batch, so that a folder of foreign files does not fill the log.
_FILES_TOLD = 20


class PassedOver:
    """Looks into `folder` when it is called, but not more often than every `seconds`."""

    def __init__(self, folder: Path, encoding: str, seconds: float) -> None:
        self._folder = folder
        self._encoding = encoding
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
            shown = ", ".join(shown_name(name) for name in sorted(names)[:_NAMES_SHOWN])
            more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
            logger.warning(f"📂 Not read in {self._folder}: {shown}{more} ({reason})")


def telling_whole_files(refused: Iterable[RejectedRecord]) -> Iterator[RejectedRecord]:
    """Pass `refused` on, and warn of files that were refused as a whole, the first 20 of them."""
    told: set[tuple[str, str]] = set()
    for record in refused:
        file = (record.source, record.reason)
        if record.reason in WHOLE_FILES and file not in told and len(told) < _FILES_TOLD:
            told.add(file)
            logger.warning(f"📄 {shown_name(record.source)}: {WHOLE_FILES[record.reason]}; see `dlq list`")
        yield record


def shown_name(name: str) -> str:
    """A file's name on one line, whatever it holds."""
    return name if name.isprintable() else repr(name)
