"""Running totals of one session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts import CORRUPT, BatchReport, ends
from monitoring.console import counted, lasted


@dataclass(slots=True)
class SessionTotals:
    """Sums over every batch of the session; a batch that failed and is repeated counts each time.

    A failed batch has no records. `ends` adds up to `records`, see `contracts.ends`; `rejected` are those
    refused by a rule; the `corrupt` ones could not even be read. `errors` are these and what failed.
    """

    batches: int = 0
    succeeded: int = 0
    failed: int = 0
    written: int = 0
    inserted: int = 0
    updated: int = 0
    skipped: int = 0
    records: int = 0
    errors: int = 0
    time_ms: int = 0
    rejected: int = 0
    corrupt: int = 0
    ends: Mapping[str, int] = field(default_factory=ends)

    def add(self, report: BatchReport) -> None:
        """Count one batch; one with errors that wrote the rest is a success."""
        self.batches += 1
        self.succeeded += report.success
        self.failed += not report.success
        self.written += report.writes.written
        self.inserted += report.writes.inserted
        self.updated += report.writes.updated
        self.skipped += report.writes.skipped
        self.records += report.records_processed
        self.corrupt += report.rejected_by_reason.get(CORRUPT, 0)
        self.rejected += sum(
            count for reason, count in report.rejected_by_reason.items() if reason != CORRUPT
        )
        self.ends = {end: count + report.records_by_outcome[end] for end, count in self.ends.items()}
        self.errors += report.errors_count
        self.time_ms += report.processing_time_ms

    @property
    def success_percent(self) -> float:
        """Succeeded batches in percent of all; 0 before the first."""
        return 100 * self.succeeded / self.batches if self.batches else 0.0

    @property
    def average_ms(self) -> float:
        """Mean wall time of a batch in milliseconds; 0 before the first."""
        return self.time_ms / self.batches if self.batches else 0.0


def brief_summary(totals: SessionTotals, seconds: float, of_stream: bool, listed_by: str) -> str:
    """The session in three lines for a terminal; `listed_by` is the command that lists what was set aside."""
    record, value = ("record", "record") if of_stream else ("change", "value")
    failed = f" ({totals.failed:,} failed)" if totals.failed else ""
    other = {end: count for end, count in totals.ends.items() if count and end not in ("written", "refused")}
    others = ", ".join(f"{count:,} {end.replace('_', ' ')}" for end, count in other.items())
    written = f"{totals.written:,} written" if of_stream else counted(totals.written, "result")
    refused = totals.rejected + totals.corrupt
    lists = f": {listed_by}" if listed_by else ""
    lines = [
        f"📊 {counted(totals.batches, 'batch', 'batches')}{failed} in {lasted(seconds)}",
        f"   {counted(totals.records, record)} → {written}{f' ({others})' if others else ''}",
        f"   {counted(refused, value)} set aside{lists}" if refused else "   Nothing was set aside",
    ]
    return "\n".join(lines)
