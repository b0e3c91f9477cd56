"""The health pipeline's wiring: builds the parts from Settings and hands them to each other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from pymongo.collection import Collection
from pyspark.sql import SparkSession

from analytics.health.superseded import Superseded
from checkpoint.store import RECONCILIATION, CheckpointStore
from contracts.health import SOURCE_COLLECTION
from monitoring.health.index_metrics import IndexMetrics
from monitoring.health.poll_metrics import PollMetrics
from monitoring.health.reconciliation_metrics import ReconciliationMetrics
from monitoring.jvm_metrics import JvmMetrics
from monitoring.logs import get_logger
from monitoring.progress_bar import progress
from monitoring.query_metrics import QueryMetrics, measured_queries
from pipelines.engine.executors import work_sign
from pipelines.engine.faults import Faults
from pipelines.engine.pipeline import Retry
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.retry_policy import retry_policy
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.ticker import Ticker
from pipelines.health.backend import ONE_SHOT_FLUSH_SECONDS, STREAM_FLUSH_SECONDS, Backend
from pipelines.health.batch import HealthBatch
from pipelines.health.change_alarm import waking
from pipelines.health.dead_letter_retry import LetterRetry
from pipelines.health.measuring import drained, polled, report, written
from pipelines.health.pipeline import HEALTH
from pipelines.health.polling import open_poll
from pipelines.health.recompute.by_size import by_size, executors_from, piece_size
from pipelines.health.recompute.failures import Failures
from pipelines.health.recompute.isolation import Isolation
from pipelines.health.stores import open_cursor, open_database, task_plan
from pipelines.health.telling.job import open_telling
from pipelines.health.telling.telling import Telling
from pipelines.health.upkeep.catalogue import changed_catalogue
from pipelines.health.upkeep.drift import DRIFT
from pipelines.health.upkeep.full_pass import FullPass
from pipelines.health.upkeep.indexes import IndexUpkeep
from pipelines.health.upkeep.pass_progress import PassProgress
from pipelines.health.upkeep.pieces import Pieces
from pipelines.health.upkeep.reconciliation import Reconciliation
from pipelines.health.upkeep.writers_clocks import WritersClocks
from session import spark_session
from settings import Settings
from sinks.health.indexes import ensure_indexes
from sinks.health.versions import require_known_results
from sources.health.overlap import Overlap
from sources.health.poll import MongoPoll
from sources.mongo_client import MonotonicClock, for_reading, ping

logger = get_logger(__name__)


@dataclass(frozen=True)
class HealthPipeline:
    """Everything a run needs, built and connected."""

    settings: Settings
    spark: SparkSession
    source: Collection[dict[str, Any]]
    target: Collection[dict[str, Any]]
    clock: MonotonicClock
    cursor: CheckpointStore
    batch: HealthBatch
    full: FullPass
    letters: LetterRetry
    reporting: StreamReporting
    poll_metrics: PollMetrics
    backend: Backend
    reconciliation: Reconciliation
    indexes: IndexUpkeep
    clocks: WritersClocks
    telling: Telling

    def once(
        self, stop: StopFlag, since: datetime | None = None, between: Callable[[], object] = lambda: None
    ) -> bool:
        """One bounded pass over what changed; False when it failed and may be tried again.

        Letters that are due follow, piece by piece, with `between` after each, and the reconciliation if due.
        Raises ConfigurationError or AlreadyRunningError when only a person can mend what is wrong.
        """
        polled_at = self._poll(stop, since)
        self.letters.run_due(stop, polled_at, between)
        # A pass that was stopped half-way, or failed, leaves a backlog behind.
        if polled_at is not None and not stop():
            self.reconciliation.run_due(stop)
        return polled_at is not None

    def _poll(self, stop: StopFlag, since: datetime | None = None) -> datetime | None:
        self.reporting.state.begin()
        if not stop():
            self.indexes.run_due()
        polled_at = self.batch.drain(stop, since)
        # A pass that was stopped half-way says nothing about the data.
        if polled_at is not None and not stop():
            self.clocks.look_due(polled_at)
            polled(self.batch, self.reporting, self.poll_metrics, polled_at)
        self.reporting.state.end(polled_at is not None)
        return polled_at

    def stream(self, stop: StopFlag) -> bool:
        """Poll at every trigger until `stop`; True, because failed batches were reported and retried.

        Raises what `once` raises, and ServiceError when the JVM ended.
        """
        seconds = self.settings.batch_interval_seconds
        logger.info(f"🔄 Polling for new health metrics every {seconds:g} seconds; press Ctrl+C to stop")
        self.reporting.state.watch(work_sign(self.spark))

        def work() -> None:
            # What changes while letters are retried does not wait for their end.
            self.once(stop, between=partial(self._poll, stop))

        pings = {"MongoDB": lambda: ping(self.target.database)}
        measured = measured_queries(self.spark, QueryMetrics(self.reporting.metrics))
        with self.reporting.serving(pings, self.backend.status, self.letters.ask), measured:
            with progress(lambda: self.reporting.first_batch(self.batch.steps)):
                work()  # the rate source's first trigger has no rows, and so would come an interval late
            folder, retry = self.settings.checkpoint_location / "ticker", retry_policy(self.settings)
            wakes = self.settings.poll_wake == "change_stream"
            with waking(self.source if wakes else None, work, stop, seconds) as tick:
                Ticker(self.spark, folder, seconds, tick, retry).run(stop)
            self.backend.close(STREAM_FLUSH_SECONDS)
            self.telling.close(STREAM_FLUSH_SECONDS)
        return True

    def finish(self, out: Callable[[str], None]) -> None:
        """Send the last events, print the session summary and export the batch history."""
        self.backend.close(ONE_SHOT_FLUSH_SECONDS)
        self.telling.close(ONE_SHOT_FLUSH_SECONDS)
        said = [each for each in (self.backend.summary(), self.telling.summary()) if each]
        self.reporting.finish(out, "\n".join(said) or None)


@contextmanager
def open_pipeline(settings: Settings, streaming: bool) -> Iterator[HealthPipeline]:
    """Build, check and connect the pipeline; stops Spark and releases the checkpoint folder at the end.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is processed.
    """
    cursor = open_cursor(settings)
    with cursor.lock():
        logger.info(f"🚀 Starting Spark Application: {settings.spark_app_name}")
        logger.info(f"📡 Connecting to MongoDB Database: {settings.mongo_db_name}")
        database, clock = open_database(settings)
        source, target = database[SOURCE_COLLECTION], database[settings.analytics_collection]
        poll = open_poll(settings, source, cursor)
        require_known_results(target)
        if settings.manage_source_index:
            poll.ensure_index()
        mended = ensure_indexes(target)
        if other := changed_catalogue(cursor):
            logger.warning(other)
        with spark_session(settings.spark, streaming) as spark:
            folder = settings.checkpoint_location
            logger.info(f"✅ Spark Session Initialized; 📂 checkpoint location: {folder}")
            job = assemble(settings, spark, source, target, clock, cursor, poll)
            job.indexes.removed(mended)
            yield job
            job.backend.close(STREAM_FLUSH_SECONDS)
            job.telling.close(STREAM_FLUSH_SECONDS)


@contextmanager
def open_retry(settings: Settings) -> Iterator[Retry]:
    """The function that tries dead letters again; Spark runs inside the block."""
    with open_pipeline(settings, False) as job:
        yield job.letters.run


def assemble(
    settings: Settings,
    spark: SparkSession,
    source: Collection[dict[str, Any]],
    target: Collection[dict[str, Any]],
    clock: MonotonicClock,
    cursor: CheckpointStore,
    poll: MongoPoll,
) -> HealthPipeline:
    """Wire the parts; tests come in through this door with their own session and database."""
    source, target = for_reading(source), for_reading(target)
    reporting, poll_metrics, backend, telling = _measure(settings, spark, target, poll.overlap, clock)
    letters, metrics, minutes = reporting.letters, reporting.metrics, settings.dlq_retry_minutes
    from_users = executors_from(settings.executors_from_users, source)
    plan, stores = task_plan(settings), (from_users, spark, source, target, clock)
    faults = Faults(settings.fault)
    watched = (Failures(cursor, settings.max_batch_failures), letters, clock, faults)
    superseded, on_written = Superseded(), partial(written, reporting.state, backend, telling)
    recompute = Isolation(by_size(plan, *stores, superseded, on_written), *watched)
    indexes = IndexUpkeep(source, target, poll, settings.manage_source_index, IndexMetrics(metrics))
    on_report = partial(report, reporting, poll_metrics, indexes, poll.overlap)
    batch = HealthBatch(
        poll=poll,
        recompute=recompute,
        cursor=cursor,
        letters=letters,
        clock=clock,
        retry=retry_policy(settings, metrics.retried),
        faults=faults,
        on_report=on_report,
        on_recovery=poll_metrics.recovered,
        users_per_piece=settings.max_users_per_piece,
        whole_from_users=from_users,
        superseded=superseded,
    )
    following = (letters, clock, batch.next_batch_id, on_report)
    retry = LetterRetry(letters, source, recompute, clock, batch.next_batch_id, minutes, telling.again)
    # Without notices: the analytics of all users at once are no news. Anew: it mends what others changed.
    size = partial(piece_size, from_users, settings.max_users_per_piece, settings.max_batch_documents)
    progress = PassProgress(cursor, size, settings.full_users_per_second)
    told = (Superseded(), lambda *_: reporting.state.progress())
    everybody = Isolation(by_size(replace(plan, anew=True), *stores, *told), *watched)
    full = FullPass(source, target, Pieces(everybody, *following), clock, progress, batch.retry)
    healing = _reconciliation(settings, full, Pieces(recompute, *following), batch, reporting, poll_metrics)
    # Before the first batch, so that Prometheus sees counters rise from what they were.
    metrics.write()
    return HealthPipeline(
        settings, spark, source, target, clock, cursor, batch, full, retry, reporting, poll_metrics,
        backend, healing, indexes, WritersClocks(source, poll_metrics), telling,
    )  # fmt: skip


def _measure(
    settings: Settings,
    spark: SparkSession,
    target: Collection[dict[str, Any]],
    overlap: Overlap,
    clock: MonotonicClock,
) -> tuple[StreamReporting, PollMetrics, Backend, Telling]:
    reporting = StreamReporting(HEALTH, settings, settings.batch_interval_seconds)
    metrics = reporting.metrics
    JvmMetrics(metrics, spark)
    poll_metrics = PollMetrics(metrics, overlap.seconds)
    url, token = settings.backend_api_url, settings.service_token
    backend = Backend(url, token, settings.notices_per_second, target, metrics)
    telling = open_telling(settings, target, reporting.letters, clock, metrics)
    return reporting, poll_metrics, backend, telling


def _reconciliation(
    settings: Settings, full: FullPass, pieces: Pieces, batch: HealthBatch, reporting: StreamReporting,
    poll_metrics: PollMetrics,
) -> Reconciliation:  # fmt: skip
    every_seconds = settings.reconcile_interval_hours * 3600
    # The driver computes what is found, which is little as a rule.
    size = partial(piece_size, sys.maxsize, settings.max_users_per_piece, settings.max_batch_documents)
    progress = PassProgress(batch.cursor, size, settings.reconcile_users_per_second, RECONCILIATION)
    metrics = ReconciliationMetrics(reporting.metrics, every_seconds, DRIFT)
    missed, drain = batch.poll.overlap.missed, partial(drained, batch, reporting, poll_metrics)
    return Reconciliation(
        full.source, full.target, pieces, progress, metrics, reporting.state, drain, every_seconds,
        batch.retry, missed,
    )  # fmt: skip
