"""Pipeline: batch durations, lag, dead letters and errors, from the service's own log and metrics files."""

from __future__ import annotations

from datetime import datetime, timezone

import pandas as pd
import streamlit as st

from contracts import ENDS
from dashboard import charts, frame
from dashboard.data.batch_logs import BatchLog
from dashboard.data.health_data import HealthData
from dashboard.data.metrics_file import ServiceMetrics
from dashboard.data.remembered import Loaded
from dashboard.health import verdicts
from dashboard.health.names import STATUSES
from dashboard.health.tables import batch_table
from dashboard.text import ago, figure, short_time, utc
from told import told

_SHOWN_BATCHES = 20
_SHOWN_ERRORS = 20


def render(data: HealthData) -> None:
    """Draw the page."""
    metrics, batches = data.metrics(), data.batch_log()
    frame.heading("Pipeline", verdicts.pipeline(metrics.value, batches.value, data.now()))
    frame.age("Metrics file", metrics)
    frame.figures(_service_figures(metrics, data.now()))
    log = frame.batch_log(batches, data.log_directory)
    if log is None:
        return
    _durations(log)
    _steps(log)
    _set_aside(log)
    frame.section("Batches")
    batch_table(log.batches.head(_SHOWN_BATCHES), "The latest batches")
    if log.unreadable:
        st.markdown(f"{log.unreadable:,} lines of the log could not be read and are left out.")


def _service_figures(
    metrics: Loaded[ServiceMetrics | None], now: datetime
) -> dict[str, tuple[str, str | None]]:
    values = metrics.value.values if metrics.value else {}

    def since(name: str) -> str:
        seconds = values.get(name)
        return ago(datetime.fromtimestamp(seconds, timezone.utc), now) if seconds else "–"

    return {
        "Last poll": (
            since("health_last_poll_timestamp_seconds"),
            "When the service last asked for changes.",
        ),
        "Last success": (
            since("health_last_success_timestamp_seconds"),
            "When a batch with changes last succeeded.",
        ),
        "Poll lag": (
            figure(values.get("health_poll_lag_seconds"), "s", 0),
            "At the last poll: the age of the newest processed change. It grows while none changes.",
        ),
        "Dead letters": (
            figure(values.get("health_dlq_letters")),
            f"Records that wait in the queue; {told('dlq list')} shows them.",
        ),
        "Batches, all time": (figure(values.get("batches_processed_total")), None),
        "Failed, all time": (figure(values.get("batches_failed_total")), None),
    }


def _durations(log: BatchLog) -> None:
    frame.section("Batch durations")
    batches = log.batches
    # A logarithmic axis has no zero.
    seconds = batches["processing_time_ms"].clip(lower=1) / 1000
    succeeded = int((batches["status"] != "failed").sum())
    frame.figures(
        {
            "Median": (figure(float(seconds.median()), "s", 2), None),
            "95th percentile": (figure(float(seconds.quantile(0.95)), "s", 2), None),
            "Succeeded": (f"{succeeded:,} of {len(batches):,}", "Of the batches shown."),
        }
    )
    shown = pd.DataFrame(
        {
            "end": batches["end"],
            "seconds": seconds,
            "status": [STATUSES.get(status, status) for status in batches["status"]],
            "changes": batches["records_processed"],
        }
    )
    alternative = (
        f"Duration of {len(batches):,} batches from {utc(batches['end'].min())} to "
        f"{utc(batches['end'].max())}: median {seconds.median():.2f} s, longest {seconds.max():.2f} s, "
        f"{len(batches) - succeeded:,} failed."
    )
    frame.chart(
        charts.batch_durations(shown), alternative, shown.assign(end=[utc(end) for end in shown["end"]])
    )


def _steps(log: BatchLog) -> None:
    if not log.steps_ms:
        return
    frame.section("Where the time goes")
    steps = pd.DataFrame(
        {"step": list(log.steps_ms), "milliseconds": [round(ms, 1) for ms in log.steps_ms.values()]}
    )
    parts = ", ".join(f"{step} {ms:.0f} ms" for step, ms in log.steps_ms.items())
    frame.chart(
        charts.horizontal_bars(steps, "step", "milliseconds", "milliseconds (median)"),
        f"Median duration of each step of a batch: {parts}.",
        steps,
    )


def _set_aside(log: BatchLog) -> None:
    frame.section("What became of the documents")
    ends = [(end.replace("_", " "), log.ends[end]) for end in ENDS if log.ends.get(end)]
    if ends:
        frame.table(pd.DataFrame(ends, columns=["End", "Documents"]), "Documents by what became of them")
    if log.left_out:
        reasons = pd.DataFrame(
            sorted(log.left_out.items(), key=lambda item: -item[1]), columns=["Reason", "Documents"]
        )
        frame.table(reasons, "Documents left out by reason")
    frame.section("Refused and failed")
    if not log.rejected and not log.errors:
        st.markdown("Nothing, in the batches shown.")
    if log.rejected:
        reasons = pd.DataFrame(
            sorted(log.rejected.items(), key=lambda item: -item[1]), columns=["Reason", "Documents or fields"]
        )
        frame.table(reasons, "Refused values by reason")
    if log.errors:
        errors = pd.DataFrame(
            [(short_time(end), batch, message) for end, batch, message in log.errors[:_SHOWN_ERRORS]],
            columns=["When (UTC)", "Batch", "Error"],
        )
        frame.table(errors, "The latest errors")
