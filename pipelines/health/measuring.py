"""What batches and polls of the health pipeline tell, and whom: log, metrics, receivers, the overlap."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from contracts import BatchReport
from monitoring.health.poll_metrics import PollMetrics
from monitoring.run_state import RunState
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.backend import Backend
from pipelines.health.batch import HealthBatch
from pipelines.health.telling.telling import Telling
from pipelines.health.upkeep.indexes import IndexUpkeep
from sources.health.overlap import Overlap


def written(
    state: RunState,
    backend: Backend,
    telling: Telling,
    users: Sequence[ObjectId],
    calculated_at: datetime,
) -> None:
    """Let the probes and the receivers know of results that were written."""
    state.progress()
    backend.publish(users, calculated_at)
    telling.publish(users, calculated_at)


def report(
    reporting: StreamReporting,
    poll_metrics: PollMetrics,
    indexes: IndexUpkeep,
    overlap: Overlap,
    done: BatchReport,
) -> None:
    """Tell a batch that is `done`, and take what it shows of late commits."""
    overlap.observe(done.lateness_seconds)
    poll_metrics.overlaps(overlap.seconds)
    poll_metrics.observe(done)
    reporting.tell(done)
    # A backlog or a full pass may take hours.
    indexes.run_due()


def drained(
    batch: HealthBatch, reporting: StreamReporting, poll_metrics: PollMetrics, stop: StopFlag
) -> datetime | None:
    """Process all that changed, and tell that it was polled; returns up to when, None if it failed."""
    polled_at = batch.drain(stop)
    if polled_at is not None and not stop():
        polled(batch, reporting, poll_metrics, polled_at)
    return polled_at


def polled(
    batch: HealthBatch, reporting: StreamReporting, poll_metrics: PollMetrics, polled_at: datetime
) -> None:
    """Let the metrics tell that all was polled that changed up to `polled_at`, and write them."""
    overlap = batch.poll.overlap
    overlap.observe(())
    poll_metrics.overlaps(overlap.seconds)
    poll_metrics.idle(polled_at)
    reporting.metrics.idle(polled_at)
