"""Tells each batch: console lines, one JSON line a batch, the session summary and its export."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from contracts import BatchReport
from monitoring.console import one_line
from monitoring.logs import redact, warn_stderr
from monitoring.session_summary import SessionTotals, render_summary, session_metrics

# A stream runs for months: only the newest batches stay in memory, the totals cover all of them.
KEPT_BATCHES = 10_000
# A batch may have as many errors as documents; `errors_count` tells their number, these are the examples.
LOGGED_ERRORS = 100
KEPT_ERRORS = 10
ERROR_LENGTH = 2_000


def batch_line(report: BatchReport) -> str:
    """The seed's console lines for one batch, without a final line end."""
    # Masked before it is cut: half a password would not be known again.
    name, writes = f"Batch {report.batch_id}", report.writes
    if not report.success:
        cause = one_line(redact(report.errors[0])) if report.errors else ""
        return "\n".join(
            [
                f"❌ {name} failed: {cause or 'unknown error'}",
                f"   Records Processed: {report.records_processed}",
                f"   Analytics Computed: {report.analytics_computed}",
                f"   Errors: {len(report.errors)}",
                f"   Processing Time: {report.processing_time_ms}ms",
            ]
        )
    mark, outcome = ("⚠️ ", "completed with errors") if report.errors else ("✅", "completed")
    volume = f"{report.records_processed} records → {writes.written} analytics"
    lines = [
        f"{mark} {name} {outcome}: {volume} ({report.processing_time_ms}ms)",
        f"   📥 Inserts: {writes.inserted} | 🔄 Updates: {writes.updated} | ⏭️  Skipped: {writes.skipped}",
    ]
    if report.records_by_outcome["superseded"]:
        lines.append(
            f"   🕰️  Superseded: {report.records_by_outcome['superseded']} (a later one of their day)"
        )
    if report.left_out_by_reason:
        lines.append(f"   Left out: {shown_reasons(report.left_out_by_reason)}")
    if report.errors:
        lines.append(f"   Errors: {len(report.errors)} (first: {one_line(redact(report.errors[0]), 200)})")
    return "\n".join(lines)


def log_entry(report: BatchReport) -> dict[str, Any]:
    """One line of the batch log: the seed's 14 keys in their order, then this service's own.

    Times are ISO 8601 in UTC, durations milliseconds; `errors` is null when there are none.
    """
    writes = report.writes
    return {
        **shown_volume(report),
        "analytics_computed": report.analytics_computed,
        "analytics_written": writes.written,
        "analytics_inserted": writes.inserted,
        "analytics_updated": writes.updated,
        "analytics_skipped": writes.skipped,
        **shown_outcome(report),
        "users": report.users,
        "analytics_deleted": writes.deleted,
        **shown_details(report),
    }


def shown_volume(report: BatchReport) -> dict[str, Any]:
    """Returns the first fields of a line of the batch log: which batch, when, how long, how much."""
    return {
        "batch_id": report.batch_id,
        "start_time": iso(report.start_time),
        "end_time": iso(report.end_time),
        "processing_time_ms": report.processing_time_ms,
        "records_processed": report.records_processed,
    }


def shown_outcome(report: BatchReport) -> dict[str, Any]:
    """Returns how the batch ended, with its first errors, masked and cut; null when there are none."""
    errors = [redact(error)[:ERROR_LENGTH] for error in report.errors[:LOGGED_ERRORS]]
    return {
        "errors_count": len(report.errors),
        "errors": errors or None,
        "success": report.success,
        "status": report.status,
    }


def shown_details(report: BatchReport) -> dict[str, Any]:
    """The five ends of records, the reasons of two of them, and milliseconds by step."""
    return {
        "records_by_outcome": dict(report.records_by_outcome),
        "rejected_by_reason": {redact(reason): count for reason, count in report.rejected_by_reason.items()},
        "left_out_by_reason": {redact(reason): count for reason, count in report.left_out_by_reason.items()},
        "steps_ms": {step: _finite(duration) for step, duration in report.steps_ms.items()},
    }


def shown_reasons(counts: Mapping[str, int]) -> str:
    """Counts by reason for people, on one line."""
    return one_line(", ".join(f"{count} × {redact(reason)}" for reason, count in sorted(counts.items())))


class BatchHistory:
    """Appends every batch to `LOG_DIRECTORY` and keeps what the end of the session needs.

    `prefix` is the pipeline's name for all but the health pipeline, whose file names have none. A folder that
    cannot be written costs one warning on standard error; the session goes on in memory.
    """

    def __init__(
        self,
        log_directory: str | Path,
        prefix: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = Path(log_directory)
        self._prefix = f"{prefix.rstrip('_')}_" if prefix else ""
        self._now = now
        self._monotonic = monotonic
        self._started = monotonic()
        self._totals = SessionTotals()
        self._recent: deque[dict[str, Any]] = deque(maxlen=KEPT_BATCHES)
        self._warned = False
        self._lock = threading.Lock()

    # The words for a batch and a session; monitoring/stream_history.py has others for other pipelines.
    entry = staticmethod(log_entry)
    render = staticmethod(render_summary)
    session = staticmethod(session_metrics)

    def record(self, report: BatchReport) -> dict[str, Any]:
        """Append the batch to the log of the UTC day on which it ended, and to the session.

        Returns the entry as the session keeps it, with the first few errors, shortened.
        """
        entry = self.entry(report)
        name = f"{self._prefix}batch_logs_{report.end_time.astimezone(timezone.utc):%Y%m%d}.jsonl"
        with self._lock:
            self._totals.add(report)
            kept = entry["errors"] and [error[:500] for error in entry["errors"][:KEPT_ERRORS]]
            short = {**entry, "errors": kept}
            self._recent.append(short)
            self._try(lambda: _append(self._directory / name, entry))
            return short

    @property
    def records_processed(self) -> int:
        """Records of all batches since this object was made."""
        return self._totals.records

    def totals(self) -> SessionTotals:
        """The sums over all batches so far."""
        with self._lock:
            return replace(self._totals)

    def summary(self) -> str:
        """The seed's session summary over every batch since this object was made."""
        with self._lock:
            return self.render(self._totals, self._monotonic() - self._started)

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
                "session_metrics": self.session(self._totals, self._monotonic() - self._started),
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
    with open(path, "a+b", buffering=0, opener=_open) as file:
        # A full disk or a crash may have cut the last line; it must not spoil this one too.
        if not _ends_with_newline(file):
            line = b"\n" + line
        if file.write(line) != len(line):
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


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds."""
    # The numeric offset, not Z: datetime.fromisoformat of Python 3.10 cannot read Z.
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def _finite(number: float) -> float | None:
    return round(number, 3) if math.isfinite(number) else None
