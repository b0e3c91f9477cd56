"""Tells what lies in the folder of the files and is never read: each name once."""

from __future__ import annotations

import time
from pathlib import Path

from monitoring.logs import get_logger
from sources.ecommerce.csv_files import passed_over

logger = get_logger(__name__)

_NAMES_SHOWN = 5


class PassedOver:
    """Looks into `folder` when it is called, but not more often than every `seconds`."""

    def __init__(self, folder: Path, encoding: str, seconds: float) -> None:
        self._folder = folder
        self._encoding = encoding
        self._seconds = seconds
        self._next = float("-inf")
        self._known: set[str] = set()

    def look(self) -> None:
        """Warn of what came since; a folder that cannot be read is another's to tell."""
        if time.monotonic() < self._next:
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


def shown_name(name: str) -> str:
    """A file's name on one line, whatever it holds."""
    return name if name.isprintable() else repr(name)
