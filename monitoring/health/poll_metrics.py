"""Metrics of a pipeline that polls MongoDB, beside its batches: lag, late commits, backlog, the cursor."""

from __future__ import annotations

import time
from collections import deque
from datetime import datetime

from contracts import BatchReport
from contracts.health import is_unknown_source
from monitoring.metrics import Metrics

# Up to the largest overlap that makes sense; the default overlap is 60 s.
_LATENESS_SECONDS = (0.1, 1.0, 5.0, 15.0, 30.0, 60.0, 300.0)
_REMEMBERED_SECONDS = 3600.0


class PollMetrics:
    """Fills metrics of `metrics`, which writes them with the batch or the idle poll that follows."""

    def __init__(self, metrics: Metrics, overlap_seconds: float) -> None:
        # The greatest lateness of each poll that saw one, with when that was.
        self._late: deque[tuple[float, float]] = deque()
        self._registry = registry = metrics.registry
        text = "Server time minus the newest processed updatedAt at the last poll, in seconds"
        self._lag = registry.gauge("poll_lag_seconds", text)
        text = "Newest processed updatedAt, seconds since 1970"
        self._newest = registry.gauge("newest_processed_timestamp_seconds", text, kept=True)
        text = "How far behind the cursor each poll looks again, in seconds"
        self._overlap = registry.gauge("poll_overlap_seconds", text)
        self.overlaps(overlap_seconds)
        text = "How long after an earlier poll had read past them documents became visible, in seconds"
        self._lateness = registry.histogram("commit_lateness_seconds", text, _LATENESS_SECONDS)
        text = "Greatest lateness of a commit that was found within the last hour, in seconds"
        self._max_lateness = registry.gauge("commit_lateness_max_seconds", text)
        text = "Changed documents that wait after the last piece of a backlog; counted up to 100 000"
        self._backlog = registry.gauge("backlog_documents", text)
        text = "Users whose data the last batch found changed"
        self._stale_users = registry.gauge("batch_stale_users", text)
        text = "Documents that wait because they are dated up to a day ahead; counted up to 10 000"
        self._ahead = registry.gauge("ahead_documents", text)
        text = "How far the farthest of them is ahead of the server, in seconds"
        self._ahead_seconds = registry.gauge("ahead_seconds", text)
        text = "Documents left out because their source is neither in PHONE_SOURCES nor `import`"
        self._unknown_sources = registry.counter("unknown_source_total", text)
        text = "Unreadable cursor files, by what took their place: the previous generation or the default"
        self._recoveries = registry.counter("cursor_recoveries_total", text, ["origin"])
        for origin in ("previous", "default"):
            self._recoveries.labels(origin)

    def observe(self, report: BatchReport) -> None:
        """Take the figures of a batch; call it before `Metrics.observe`, which writes them."""
        self._stale_users.set(report.users)
        self._unknown_sources.inc(
            sum(count for reason, count in report.left_out_by_reason.items() if is_unknown_source(reason))
        )
        if report.backlog is not None:
            self._backlog.set(report.backlog)
        if report.newest_processed is not None:
            # A document that was committed late is older than what was processed before it.
            self._newest.set(max(self._known_newest(), report.newest_processed.timestamp()))
        for seconds in report.lateness_seconds:
            self._lateness.observe(seconds)
        if report.lateness_seconds:
            self._late.append((time.monotonic(), max(report.lateness_seconds)))
        self._refresh(report.end_time)

    def overlaps(self, seconds: float) -> None:
        """Set how far the next poll looks back."""
        self._overlap.set(round(seconds, 1))

    def idle(self, now: datetime) -> None:
        """Note that nothing waits at the server's `now`; call it before `Metrics.idle`."""
        self._backlog.set(0)
        self._refresh(now)

    def ahead(self, documents: int, seconds: float) -> None:
        """Set how many documents wait for their time, and how many `seconds` ahead the farthest is."""
        self._ahead.set(documents)
        self._ahead_seconds.set(round(seconds, 3))

    def recovered(self, origin: str) -> None:
        """Count an unreadable cursor that `origin` replaced: the `previous` generation or the `default`."""
        self._recoveries.labels(origin).inc()

    def _refresh(self, now: datetime) -> None:
        newest = self._known_newest()
        if newest:
            self._lag.set(max(0.0, round(now.timestamp() - newest, 3)))
        oldest = time.monotonic() - _REMEMBERED_SECONDS
        while self._late and self._late[0][0] < oldest:
            self._late.popleft()
        self._max_lateness.set(max((seconds for _, seconds in self._late), default=0.0))

    def _known_newest(self) -> float:
        return self._registry.value(self._newest)
