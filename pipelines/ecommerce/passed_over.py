"""Looks after the folder: clears away files that were read, and tells of those that never are.

Files that are not read, of which nothing counts, or that changed later are told by name, once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from analytics.ecommerce.rules import WHOLE_FILES
from monitoring.logs import get_logger
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.supervisor import StartAnewError
from sinks.stream_letters import RejectedRecord
from sources.ecommerce.csv_files import passed_over
from sources.ecommerce.csv_reader import WHOLE_FILE
from sources.ecommerce.read_files import ReadFiles, State, clear
from told import told

logger = get_logger(__name__)

KEEP = "keep"
# Below the folder; Spark looks into no folder whose name begins with a dot.
ARCHIVE = ".read"
# Spark keeps a note of each file for ever, in its memory too.
MAX_NOTED = 10_000
# Between two looks, in times of what the first one took.
_PAUSE_TIMES = 50
_NAMES_SHOWN = 5
# Of a batch, so that a folder of foreign files does not fill the log.
_FILES_TOLD = 20


class PassedOver:
    """Looks into `folder` when it is called, but not more often than every `seconds`.

    `read` finds files that were read, which are kept, moved to the archive or deleted, as `how` says. Those
    in `unreadable`, which others fill, are left alone: `ecommerce dlq retry` reads them again.
    """

    def __init__(
        self, folder: Path, encoding: str, seconds: float, read: ReadFiles, how: str, unreadable: set[str]
    ) -> None:
        self._folder = folder
        self._encoding = encoding
        self._read = read
        self._how = how
        self._unreadable = unreadable
        self._seconds = seconds
        self._next = float("-inf")
        self._known: set[str] = set()
        self._has_told = False

    def start(self, _stop: StopFlag | None = None) -> None:
        """Before the first batch, whose query begins its list anew where that is due."""
        self.look(at_once=True)

    def look(self, at_once: bool = False) -> None:
        """Warn of what came since; a folder that cannot be read is another's to tell.

        Raises StartAnewError when Spark has noted more than MAX_NOTED files: its list begins anew then.
        """
        began = time.monotonic()
        if not at_once and began < self._next:
            return
        self._tell_others()
        self._look_after_read()
        # A large folder takes its time.
        ended = time.monotonic()
        self._next = ended + max(self._seconds, _PAUSE_TIMES * (ended - began))
        if self._how != KEEP and self._read.noted > MAX_NOTED and not at_once:
            raise StartAnewError(f"{self._read.noted} files are noted as read")

    def end(self) -> None:
        """What came since is told by the next start."""

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

    def _look_after_read(self) -> None:
        try:
            found = self._read.look()
        except (OSError, ValueError, LookupError):
            # The batch needs the same notes, and tells.
            return
        unreadable = {Path(path).name for path in self._unreadable}
        names = [name for name in found.changed if name not in unreadable]
        if names:
            logger.warning(
                f"📂 Changed after it was read: {_shown_names(names)}. Nothing of the change was taken, "
                f"unless by `{told('ecommerce dlq retry')}`. Give it another name."
            )
        settled = {name: state for name, state in found.settled.items() if name not in unreadable}
        if self._how != KEEP:
            self._clear(settled)
        elif len(settled) > MAX_NOTED:
            self._tell_once(
                f"📂 {len(settled)} files that were read lie in {self._folder}, and each look for new ones "
                "takes longer. Set ECOMMERCE_READ_FILES to archive or delete."
            )

    def _clear(self, settled: Mapping[str, State]) -> None:
        today = datetime.now(timezone.utc).date()
        archive = self._folder / ARCHIVE / f"{today}" if self._how == "archive" else None
        try:
            for name, state in settled.items():
                with suppress(FileNotFoundError):
                    clear(self._folder, name, state, archive)
        except OSError as error:
            self._tell_once(
                f"📂 Files of {self._folder} that were read cannot be cleared away ({error.strerror}): make "
                "it writable, or set ECOMMERCE_READ_FILES=keep."
            )

    def _tell_once(self, text: str) -> None:
        if not self._has_told:
            self._has_told = True
            logger.warning(text)


def _shown_names(names: list[str]) -> str:
    shown = ", ".join(shown_name(name) for name in sorted(names)[:_NAMES_SHOWN])
    return f"{shown} and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else shown


def telling_whole_files(
    refused: Iterable[RejectedRecord], unreadable: set[str] | None = None
) -> Iterator[RejectedRecord]:
    """Pass `refused` on, and warn of files that were refused as a whole, the first 20 of them.

    Files that could not be read to their end go to `unreadable`.
    """
    warned: set[tuple[str, str]] = set()
    for record in refused:
        file = (record.source, record.reason)
        if unreadable is not None and record.position == WHOLE_FILE:
            unreadable.add(record.source)
        if record.reason in WHOLE_FILES and file not in warned and len(warned) < _FILES_TOLD:
            warned.add(file)
            logger.warning(
                f"📄 {shown_name(record.source)}: {WHOLE_FILES[record.reason]}; "
                f"see `{told('ecommerce dlq list')}`"
            )
        yield record


def shown_name(name: str) -> str:
    """A file's name on one line, whatever it holds."""
    return name if name.isprintable() else repr(name)
