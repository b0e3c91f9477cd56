"""Tells the batches of a stream pipeline in the words of records.

Of those refused, `corrupt` is how many could not be read at all and `rejected` how many broke another rule.
"""

from __future__ import annotations

from typing import Any

from contracts import CORRUPT, BatchReport
from monitoring.batch_history import (
    BatchHistory,
    shown_details,
    shown_outcome,
    shown_reasons,
    shown_volume,
)
from monitoring.console import one_line
from monitoring.logs import redact
from monitoring.session_summary import SessionTotals, frame_summary, session_metrics

# The exported history's names for results of the health pipeline, and its names here.
_SESSION_WORDS = {
    "analytics_written_total": "records_written_total",
    "analytics_inserted_total": "records_inserted_total",
    "analytics_updated_total": "records_updated_total",
    "analytics_skipped_total": "records_skipped_total",
}


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
        lines.append(f"   Left out: {shown_reasons(report.left_out_by_reason)}")
    rejected = dict(report.rejected_by_reason)
    corrupt = rejected.pop(CORRUPT, 0)
    if corrupt:
        lines.append(f"   ⚠️  {name}: found {corrupt} corrupt records")
    if rejected:
        lines.append(f"   🚫 Rejected: {sum(rejected.values())} ({shown_reasons(rejected)})")
    if report.noted:
        lines.append(f"   👀 Noted: {shown_reasons(report.noted)}")
    return "\n".join(lines)


def stream_entry(report: BatchReport) -> dict[str, Any]:
    """One line of the batch log. Times are ISO 8601 in UTC, durations milliseconds."""
    corrupt = report.rejected_by_reason.get(CORRUPT, 0)
    return {
        **({"stream": report.stream} if report.stream else {}),
        **shown_volume(report),
        "records_written": report.writes.written,
        "duplicates": report.records_by_outcome["duplicate"],
        "rejected": sum(report.rejected_by_reason.values()) - corrupt,
        "corrupt": corrupt,
        **shown_outcome(report),
        **shown_details(report),
        "noted": {redact(what): count for what, count in report.noted.items()},
    }


def render_stream_summary(totals: SessionTotals, duration_seconds: float) -> str:
    """The session summary, without a final line end."""
    results = [
        "📊 Records:",
        f"   📥 Written: {totals.written}",
        f"   ⏭️  Duplicates: {totals.ends['duplicate']}",
        f"   🕰️  Superseded: {totals.ends['superseded']}",
        f"   🚫 Rejected: {totals.rejected}",
        f"   ⚠️  Corrupt: {totals.corrupt}",
        f"   Left out: {totals.ends['left_out']}",
    ]
    return frame_summary(totals, duration_seconds, results)


def stream_session(totals: SessionTotals, duration_seconds: float) -> dict[str, Any]:
    """The totals for the exported history."""
    named = session_metrics(totals, duration_seconds)
    return {_SESSION_WORDS.get(name, name): value for name, value in named.items()} | {
        "records_rejected_total": totals.rejected,
        "records_corrupt_total": totals.corrupt,
    }


class StreamHistory(BatchHistory):
    """The same log, summary and export as the health pipeline has, in the words of records."""

    entry = staticmethod(stream_entry)
    render = staticmethod(render_stream_summary)
    session = staticmethod(stream_session)
