"""What each batch did: one JSON line a batch, the session summary and its export."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from contracts import BatchReport
from durable import patiently
from monitoring.batch_words import iso, log_entry, render_summary, session_metrics
from monitoring.logs import warn_stderr
from monitoring.session_summary import SessionTotals, brief_summary

# A stream runs for months: only the newest batches stay in memory, the totals cover all of them.
KEPT_BATCHES = 10_000
KEPT_ERRORS = 10


class BatchHistory:
    """Appends every batch to `LOG_DIRECTORY` and keeps what the end of the session needs.

    `prefix` is the name of a stream pipeline; the health pipeline's file names have none. A folder that
    cannot be written costs one warning on standard error; the session goes on in memory.
    """

    def __init__(
        self,
        log_directory: str | Path,
        prefix: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._directory = Path(log_directory)
        self._of_stream = bool(prefix)
        self._prefix = f"{prefix.rstrip('_')}_" if prefix else ""
        self._now = now
        self.started_at, self._started = now(), time.monotonic()
        self._totals = SessionTotals()
        self._recent: deque[dict[str, Any]] = deque(maxlen=KEPT_BATCHES)
        self._warned = False
        self._lock = threading.Lock()

    def record(self, report: BatchReport) -> dict[str, Any]:
        """Append the batch to the log of the UTC day on which it ended, and to the session.

        Returns the entry as the session keeps it, with the first few errors, shortened.
        """
        entry = {**log_entry(report, self._of_stream), "session_start": iso(self.started_at)}
        name = f"{self._prefix}batch_logs_{report.end_time.astimezone(timezone.utc):%Y%m%d}.jsonl"
        with self._lock:
            self._totals.add(report)
            kept = entry["errors"] and [error[:500] for error in entry["errors"][:KEPT_ERRORS]]
            short = {**entry, "errors": kept, "error_details": entry["error_details"][: len(kept or ())]}
            self._recent.append(short)
            self._try(lambda: _append(self._directory / name, entry))
            return short

    def totals(self) -> SessionTotals:
        """The sums over all batches so far."""
        with self._lock:
            return replace(self._totals)

    def summary(self) -> str:
        """The seed's session summary over every batch since this object was made."""
        with self._lock:
            return render_summary(self._totals, time.monotonic() - self._started, self._of_stream)

    def brief_summary(self, listed_by: str) -> str:
        """The same in three lines; `listed_by` is the command that lists what was set aside."""
        with self._lock:
            return brief_summary(self._totals, time.monotonic() - self._started, self._of_stream, listed_by)

    def recent(self) -> list[dict[str, Any]]:
        """The last 10 000 batches as the log has them, the oldest first."""
        with self._lock:
            return list(self._recent)

    def newest(self) -> dict[str, Any] | None:
        """The last batch as the log has it."""
        with self._lock:
            return self._recent[-1] if self._recent else None

    def export(self) -> Path | None:
        """Write `batch_history_YYYYMMDD_HHMMSS.json` and return its path, or None when that is impossible.

        It holds the session's totals and the last 10 000 batches, the oldest first.
        """
        now = self._now().astimezone(timezone.utc)
        with self._lock:
            content = {
                "session_metrics": {
                    "session_start": iso(self.started_at),
                    **session_metrics(self._totals, time.monotonic() - self._started, self._of_stream),
                },
                "batch_history": list(self._recent),
                "exported_at": iso(now),
            }
            stem = f"{self._prefix}batch_history_{now:%Y%m%d_%H%M%S}"
            return self._try(lambda: _write_new(self._directory, stem, content))

    def _try(self, write: Callable[[], Path]) -> Path | None:
        try:
            return write()
        except OSError as error:
            if not self._warned:
                self._warned = True
                warn_stderr(
                    f"The batch log cannot be written: {error}. Batches go on and are kept in memory; make "
                    f"{self._directory} writable or change LOG_DIRECTORY."
                )
            return None


def _append(path: Path, entry: dict[str, Any]) -> Path:
    """Append one line with a single write, so that readers and other writers never see a part of it."""
    line = json.dumps(entry, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with patiently(lambda: open(path, "a+b", buffering=0, opener=_open)) as file:
        # A full disk or a crash may have cut the last line; it must not spoil this one too.
        if not _ends_with_newline(file):
            line = b"\n" + line
        end = file.seek(0, 2)
        written = file.write(line)
        if written != len(line):
            # Every line of the file is JSON, also for who reads it while the disk is full.
            if file.seek(0, 2) == end + written:
                file.truncate(end)
            raise OSError(f"only a part of a line could be written to {path}")
    return path


def _open(path: str, flags: int) -> int:
    """Open a file that the group may read and that is no link: an error may quote an id, never a password."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o640)


def _ends_with_newline(file: BinaryIO) -> bool:
    if file.seek(0, 2) == 0:
        return True
    file.seek(-1, 2)
    return file.read(1) == b"\n"


def _write_new(directory: Path, stem: str, content: dict[str, Any]) -> Path:
    """Write to the first free name of `stem.json`, `stem_2.json`, …; two ends may share a second."""
    text = json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False)
    directory.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = directory / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
        try:
            with open(
                path, "x", encoding="utf-8", errors="backslashreplace", newline="\n", opener=_open
            ) as file:
                file.write(text + "\n")
        except FileExistsError:
            number += 1
        else:
            return path
