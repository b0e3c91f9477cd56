"""What users read of batches and sessions: the seed's words for health, the words of records for streams.

`corrupt` counts a stream's records that could not be read at all, `rejected` those that broke another rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from contracts import CORRUPT, BatchReport
from monitoring.console import one_line
from monitoring.logs import redact
from monitoring.session_summary import SessionTotals

# A batch may have as many kinds of errors as documents; these are the examples.
LOGGED_ERRORS = 100
ERROR_LENGTH = 2_000
# Of one that is there a second time.
DETAIL_LENGTH = 500
_RULE = "=" * 80


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
                f"   Errors: {report.errors_count}",
                f"   Processing Time: {report.processing_time_ms}ms",
            ]
        )
    mark, outcome = ("⚠️ ", "completed with errors") if report.errors else ("✅", "completed")
    # A full pass reads no records as they change, but the whole history of its users.
    of_users = report.users and not report.records_processed
    came = f"{report.users} users" if of_users else f"{report.records_processed} records"
    volume = f"{came} → {writes.written} analytics"
    lines = [
        f"{mark} {name} {outcome}: {volume} ({report.processing_time_ms}ms)",
        f"   📥 Inserts: {writes.inserted} | 🔄 Updates: {writes.updated} | ⏭️  Skipped: {writes.skipped}",
    ]
    if report.records_by_outcome["superseded"]:
        lines.append(
            f"   🕰️  Superseded: {report.records_by_outcome['superseded']} (a later one of their day)"
        )
    if report.left_out_by_reason:
        lines.append(f"   Left out: {_shown_reasons(report.left_out_by_reason)}")
    if report.noted:
        lines.append(f"   🩹 Did not fit their documents: {_shown_reasons(report.noted)}")
    if report.errors:
        apart = f"{_apart(report.refused, report.failures)}; " if report.refused else ""
        first = one_line(redact(report.errors[0]), 200)
        lines.append(f"   Errors: {report.errors_count} ({apart}first: {first})")
    return "\n".join(lines)


def stream_line(report: BatchReport) -> str:
    """The console lines for one batch, without a final line end."""
    of_stream = f"{report.stream}: " if report.stream else ""
    name, seconds = f"{of_stream}Batch {report.batch_id}", report.processing_time_ms / 1000
    if not report.success:
        cause = one_line(redact(report.errors[0])) if report.errors else ""
        return f"❌ {name} failed after {seconds:.2f}s: {cause or 'unknown error'}"
    records, writes = report.records_processed, report.writes
    mark = "⚠️ " if report.rejected_by_reason else "✅"
    lines = [f"{mark} {name}: Processed {records} records, inserted {writes.written} in {seconds:.2f}s"]
    for words, end in (("⏭️  Duplicates", "duplicate"), ("🕰️  Superseded", "superseded")):
        if report.records_by_outcome[end]:
            lines.append(f"   {words}: {report.records_by_outcome[end]}")
    if report.left_out_by_reason:
        lines.append(f"   Left out: {_shown_reasons(report.left_out_by_reason)}")
    rejected = dict(report.rejected_by_reason)
    corrupt = rejected.pop(CORRUPT, 0)
    if corrupt:
        lines.append(f"   ⚠️  {name}: found {corrupt} corrupt records")
    if rejected:
        lines.append(f"   🚫 Rejected: {sum(rejected.values())} ({_shown_reasons(rejected)})")
    if report.noted:
        lines.append(f"   👀 Noted: {_shown_reasons(report.noted)}")
    return "\n".join(lines)


def log_entry(report: BatchReport, of_stream: bool = False) -> dict[str, Any]:
    """One line of the batch log; of health: the seed's 14 keys in their order, then this service's own.

    Times are ISO 8601 in UTC, durations milliseconds; `errors` are masked and cut, null when there are none.
    `error_details` has each of them again, with its time and where the batch was.
    """
    writes, corrupt = report.writes, report.rejected_by_reason.get(CORRUPT, 0)
    errors = [redact(error)[:ERROR_LENGTH] for error in report.errors[:LOGGED_ERRORS]]
    of_health = {
        "analytics_computed": report.analytics_computed,
        "analytics_written": writes.written,
        "analytics_inserted": writes.inserted,
        "analytics_updated": writes.updated,
        "analytics_skipped": writes.skipped,
    }
    of_records = {
        "records_written": writes.written,
        "duplicates": report.records_by_outcome["duplicate"],
        "rejected": sum(report.rejected_by_reason.values()) - corrupt,
        "corrupt": corrupt,
    }
    return {
        **({"stream": report.stream} if of_stream and report.stream else {}),
        "batch_id": report.batch_id,
        "start_time": iso(report.start_time),
        "end_time": iso(report.end_time),
        "processing_time_ms": report.processing_time_ms,
        "records_processed": report.records_processed,
        **(of_records if of_stream else of_health),
        "errors_count": report.errors_count,
        "errors": errors or None,
        "success": report.success,
        "status": report.status,
        **({} if of_stream else {"users": report.users, "analytics_deleted": writes.deleted}),
        "records_by_outcome": dict(report.records_by_outcome),
        "rejected_by_reason": _masked(report.rejected_by_reason),
        "left_out_by_reason": _masked(report.left_out_by_reason),
        "steps_ms": {step: _finite(duration) for step, duration in report.steps_ms.items()},
        **({"noted": _masked(report.noted)} if of_stream or report.noted else {}),
        "error_details": [_detail(error, report) for error in errors],
    }


def _detail(error: str, report: BatchReport) -> dict[str, Any]:
    """An error with its context; the last of a failed batch's steps is where it ended."""
    where = {"batch_id": report.batch_id, "stream": report.stream or None}
    reached = None if report.success else next(reversed([*report.steps_ms]), None)
    details = {**where, "last_step": reached}
    return {"message": error[:DETAIL_LENGTH], "timestamp": iso(report.end_time), "details": details}


def render_summary(totals: SessionTotals, duration_seconds: float, of_stream: bool = False) -> str:
    """The seed's session summary, without a final line end; the errors line only when there were any."""
    of_health = [
        "📊 Analytics:",
        f"   Total Written: {totals.written}",
        f"   📥 Inserted: {totals.inserted}",
        f"   🔄 Updated: {totals.updated}",
        f"   ⏭️  Skipped: {totals.skipped}",
    ]
    of_records = [
        "📊 Records:",
        f"   📥 Written: {totals.written}",
        f"   ⏭️  Duplicates: {totals.ends['duplicate']}",
        f"   🕰️  Superseded: {totals.ends['superseded']}",
        f"   🚫 Rejected: {totals.rejected}",
        f"   ⚠️  Corrupt: {totals.corrupt}",
        f"   Left out: {totals.ends['left_out']}",
    ]
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
        *(of_records if of_stream else of_health),
        "",
        "📈 Processing:",
        f"   Records Processed: {totals.records}{_not_written(totals)}",
        f"   Total Time: {totals.time_ms}ms",
        f"   Average Time: {totals.average_ms:.2f}ms per batch",
        "",
    ]
    if totals.errors:
        refused = totals.rejected + totals.corrupt
        apart = f" ({_apart(refused, totals.errors - refused)})" if refused else ""
        lines += [f"⚠️  Errors: {totals.errors}{apart}", ""]
    return "\n".join([*lines, _RULE])


def _apart(refused: int, failed: int) -> str:
    return f"{refused} refused, {failed} failed"


def _not_written(totals: SessionTotals) -> str:
    """Those of the records that met another end than most."""
    others = [
        f"{count} {end.replace('_', ' ')}" for end, count in totals.ends.items() if count and end != "written"
    ]
    return f" ({', '.join(others)})" if others else ""


def session_metrics(
    totals: SessionTotals, duration_seconds: float, of_stream: bool = False
) -> dict[str, Any]:
    """The totals under the names that the exported history has always used, and the five ends."""
    results = "records" if of_stream else "analytics"
    refused = {"records_rejected_total": totals.rejected, "records_corrupt_total": totals.corrupt}
    return {
        "batches_processed_total": totals.batches,
        "batches_succeeded": totals.succeeded,
        "batches_failed": totals.failed,
        f"{results}_written_total": totals.written,
        f"{results}_inserted_total": totals.inserted,
        f"{results}_updated_total": totals.updated,
        f"{results}_skipped_total": totals.skipped,
        "records_processed_total": totals.records,
        "records_by_outcome": dict(totals.ends),
        "errors_total": totals.errors,
        "total_processing_time_ms": totals.time_ms,
        "average_processing_time_ms": totals.average_ms,
        "session_duration_seconds": duration_seconds,
        **(refused if of_stream else {}),
    }


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds."""
    # The numeric offset, not Z: datetime.fromisoformat of Python 3.10 cannot read Z.
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def _shown_reasons(counts: Mapping[str, int]) -> str:
    """Counts by reason for people, on one line."""
    return one_line(", ".join(f"{count} × {redact(reason)}" for reason, count in sorted(counts.items())))


def _masked(counts: Mapping[str, int]) -> dict[str, int]:
    return {redact(reason): count for reason, count in counts.items()}


def _finite(number: float) -> float | None:
    return round(number, 3) if math.isfinite(number) else None
