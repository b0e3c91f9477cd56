"""What the batch log says of some days, summed up while it is read: it may be larger than the memory."""

from __future__ import annotations

import math
import statistics
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts import ENDS, end_of
from monitoring.log_files import entries, logs_since

_FAILURES_KEPT = 20
_NO_NUMBER = -1.0


@dataclass
class BatchDays:
    """The batches that ended since a time; durations in ms, in the order of their ends.

    `ends` counts records by contracts.ENDS, `steps_ms` sums up each step, `failures` has the newest failed
    batches as (end, batch id, first error). `unreadable` counts lines that are no batch.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    steps_ms: Counter[str] = field(default_factory=Counter)
    times: array[float] = field(default_factory=lambda: array("d"))
    durations_ms: array[float] = field(default_factory=lambda: array("d"))
    failures: deque[tuple[datetime, str, str]] = field(default_factory=lambda: deque(maxlen=_FAILURES_KEPT))
    first: datetime | None = None
    last: datetime | None = None
    last_status: str = ""
    unreadable: int = 0

    @property
    def batches(self) -> int:
        """How many there are."""
        return self.statuses.total()

    def quantile(self, share: float) -> float:
        """The duration in ms that `share` of the batches do not exceed; NaN without batches."""
        if len(self.durations_ms) < 2:
            return self.durations_ms[0] if self.durations_ms else math.nan
        return statistics.quantiles(self.durations_ms, n=100, method="inclusive")[round(share * 100) - 1]

    def add(self, entry: Mapping[str, Any], end: datetime) -> None:
        """Add a line of the log that ended at `end`."""
        status = str(entry.get("status", ""))
        self.statuses[status] += 1
        for name, count in _counts(entry.get("records_by_outcome")):
            self.ends[end_of(name)] += count
        for into, name in ((self.refused, "rejected_by_reason"), (self.left_out, "left_out_by_reason")):
            for reason, count in _counts(entry.get(name)):
                into[reason] += count
        for step, duration in _counts(entry.get("steps_ms")):
            self.steps_ms[step] += duration
        if (taken := _number(entry.get("processing_time_ms"))) >= 0:
            self.times.append(end.timestamp())
            self.durations_ms.append(taken)
        if status == "failed":
            errors = entry.get("errors")
            first = str(errors[0]) if isinstance(errors, list) and errors else "unknown error"
            self.failures.append((end, str(entry.get("batch_id", "")), first))
        self.first = min(self.first or end, end)
        if self.last is None or end >= self.last:
            self.last, self.last_status = end, status

    def accounts(self) -> str:
        """How the ends add up, as a sum that a person can check."""
        parts = " + ".join(f"{self.ends[end]:,} {end.replace('_', ' ')}" for end in ENDS)
        return f"{self.ends.total():,} records = {parts}"


def read_days(folder: Path, prefix: str, since: datetime) -> BatchDays:
    """Sum up what ended at `since` or later; `prefix` is the pipeline's in its logs' names, empty for health.

    Raises OSError when the folder cannot be read.
    """
    found = BatchDays()
    # A line lies in the file of the day on which the batch ended.
    for path in logs_since(folder, prefix, since.date()):
        for entry in entries(path):
            if entry is None:
                found.unreadable += 1
            elif entry[1] >= since:
                found.add(*entry)
    return found


def _counts(value: Any) -> Iterator[tuple[str, int]]:
    for name, count in value.items() if isinstance(value, dict) else ():
        if _number(count) >= 0:
            yield str(name), round(count)


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else _NO_NUMBER
