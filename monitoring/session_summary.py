"""Running totals of one session and the summary that is printed at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts import CORRUPT, BatchReport, ends

_RULE = "=" * 80


@dataclass(slots=True)
class SessionTotals:
    """Sums over every batch of the session; a batch that failed and is repeated counts each time.

    A failed batch has no records. `ends` adds up to `records`, see `contracts.ends`; `rejected` are those
    refused by a rule; the `corrupt` ones could not even be read.
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
        self.errors += len(report.errors)
        self.time_ms += report.processing_time_ms

    @property
    def success_percent(self) -> float:
        """Succeeded batches in percent of all; 0 before the first."""
        return 100 * self.succeeded / self.batches if self.batches else 0.0

    @property
    def average_ms(self) -> float:
        """Mean wall time of a batch in milliseconds; 0 before the first."""
        return self.time_ms / self.batches if self.batches else 0.0


def render_summary(totals: SessionTotals, duration_seconds: float) -> str:
    """The seed's session summary, without a final line end; the errors line only when there were any."""
    results = [
        "📊 Analytics:",
        f"   Total Written: {totals.written}",
        f"   📥 Inserted: {totals.inserted}",
        f"   🔄 Updated: {totals.updated}",
        f"   ⏭️  Skipped: {totals.skipped}",
    ]
    return frame_summary(totals, duration_seconds, results)


def frame_summary(totals: SessionTotals, duration_seconds: float, results: Sequence[str]) -> str:
    """The seed's summary around a block of lines that tell the results in the pipeline's own words."""
    lines = [
        _RULE,
        "📊 BATCH PROCESSING SESSION SUMMARY",
        _RULE,
        "",
        f"⏱️  Session Duration: {duration_seconds:.2f} seconds",
        "",
        "📦 Batches:",
        f"   Total: {totals.batches}",
        f"   ✅ Succeeded: {totals.succeeded}",
        f"   ❌ Failed: {totals.failed}",
        f"   Success Rate: {totals.success_percent:.1f}%",
        "",
        *results,
        "",
        "📈 Processing:",
        f"   Records Processed: {totals.records}{_not_written(totals)}",
        f"   Total Time: {totals.time_ms}ms",
        f"   Average Time: {totals.average_ms:.2f}ms per batch",
        "",
    ]
    if totals.errors:
        lines += [f"⚠️  Errors: {totals.errors}", ""]
    return "\n".join([*lines, _RULE])


def _not_written(totals: SessionTotals) -> str:
    """Returns a text for the records that were not written, by their end; empty when there are none."""
    others = [
        f"{count} {end.replace('_', ' ')}" for end, count in totals.ends.items() if count and end != "written"
    ]
    return f" ({', '.join(others)})" if others else ""


def session_metrics(totals: SessionTotals, duration_seconds: float) -> dict[str, Any]:
    """The totals under the names that the exported history has always used, and the five ends."""
    return {
        "batches_processed_total": totals.batches,
        "batches_succeeded": totals.succeeded,
        "batches_failed": totals.failed,
        "analytics_written_total": totals.written,
        "analytics_inserted_total": totals.inserted,
        "analytics_updated_total": totals.updated,
        "analytics_skipped_total": totals.skipped,
        "records_processed_total": totals.records,
        "records_by_outcome": dict(totals.ends),
        "errors_total": totals.errors,
        "total_processing_time_ms": totals.time_ms,
        "average_processing_time_ms": totals.average_ms,
        "session_duration_seconds": duration_seconds,
    }
