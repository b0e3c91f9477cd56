"""The e-commerce pipeline's wiring: builds the parts from Settings and hands them to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from analytics.ecommerce.rules import SPARK_CONF
from checkpoint.lock import hold
from contracts import ConfigurationError
from monitoring.ecommerce.latency_metrics import EventLatency
from monitoring.logs import get_logger
from pipelines.ecommerce.batch import EventsBatch
from pipelines.ecommerce.letters import EventLetters
from pipelines.ecommerce.passed_over import PassedOver
from pipelines.engine.executors import ship_code
from pipelines.engine.faults import Faults
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.supervisor import BatchFunction, BatchStream, Supervisor
from retry import RetryPolicy
from session import spark_session
from settings import Settings
from sinks.ecommerce import connection as postgres_client
from sinks.ecommerce import staging as postgres_staging
from sinks.ecommerce.commit import Outcome
from sinks.ecommerce.connection import session, wait_for_server
from sinks.ecommerce.insertion import LATENCY_BOUNDS
from sinks.ecommerce.needs import column_fault, missing_grants, place_fault
from sinks.ecommerce.schema import ensure_tables
from sources.ecommerce import csv_reader, csv_records
from sources.ecommerce.csv_files import new_files

PIPELINE = "ecommerce"
_STREAM = "events"
# Whatever RETRY_BASE_SECONDS says: 1, 2, 4 … seconds between tries, at most 30.
_RETRY_BASE_SECONDS, _RETRY_MAX_SECONDS = 1.0, 30.0

logger = get_logger(__name__)


@dataclass(frozen=True)
class EcommercePipeline:
    """Everything a run needs, built and connected."""

    settings: Settings
    spark: SparkSession
    reporting: StreamReporting
    batch: EventsBatch
    letters: EventLetters
    retry: RetryPolicy
    passed_over: PassedOver

    def once(self, stop: StopFlag) -> bool:
        """Process the files that are there; False when a batch failed again and again."""
        return self._supervisor().run(stop, once=True)

    def stream(self, stop: StopFlag) -> bool:
        """Process files as they come until `stop`; True, because failed batches come again."""
        logger.info(
            f"🔄 Watching {self.settings.ecommerce_input_path} every "
            f"{self.settings.ecommerce_interval_seconds:g} seconds; press Ctrl+C to stop"
        )
        with self.reporting.serving({"PostgreSQL": self._ping}):
            return self._supervisor().run(stop, once=False)

    def finish(self, out: Callable[[str], None]) -> None:
        """Print the session summary and export the batch history."""
        self.reporting.finish(out)

    def _supervisor(self) -> Supervisor:
        self.passed_over.look()
        stream = BatchStream(_STREAM, self._process, self._start)
        return Supervisor([stream], self.retry, self.reporting.failed, self._idle)

    def _process(self, files: DataFrame, number: int) -> None:
        self.passed_over.look()
        self.batch.process(_STREAM, files, number)

    def _idle(self, stream: str) -> None:
        self.passed_over.look()
        self.reporting.idle(stream)

    def _start(self, batch: BatchFunction, once: bool) -> StreamingQuery:
        settings = self.settings
        interval = f"{round(settings.ecommerce_interval_seconds * 1000)} milliseconds"
        files = new_files(self.spark, settings.ecommerce_input_path, settings.ecommerce_max_files_per_trigger)
        writer = files.writeStream.queryName(PIPELINE).foreachBatch(batch)
        writer = writer.option("checkpointLocation", _stream_address(settings))
        return (
            writer.trigger(availableNow=True) if once else writer.trigger(processingTime=interval)
        ).start()

    def _ping(self) -> None:
        with session(self.settings.postgres_dsn.get_secret_value()) as connection:
            connection.execute("SELECT 1")


@contextmanager
def open_pipeline(settings: Settings, streaming: bool) -> Iterator[EcommercePipeline]:
    """Build, check and connect the pipeline; stops Spark and releases the checkpoint folder at the end.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is processed.
    """
    with hold(_checkpoint(settings)):
        logger.info(f"🚀 Starting the e-commerce pipeline; 📂 checkpoint location: {_checkpoint(settings)}")
        prepare_database(settings)
        _prepare_folder(settings)
        with spark_session(settings.spark, streaming) as spark:
            yield assemble(settings, spark)


def assemble(settings: Settings, spark: SparkSession) -> EcommercePipeline:
    """Wire the parts; tests come in through this door with their own session and database."""
    ship_code(csv_reader, csv_records, postgres_client, postgres_staging)
    for name, value in SPARK_CONF.items():
        spark.conf.set(name, value)
    reporting = StreamReporting(PIPELINE, settings, settings.ecommerce_interval_seconds)
    retry = _retry_policy(settings, reporting)
    batch = EventsBatch(
        settings.postgres_dsn.get_secret_value(),
        # Spark takes the address as it is, escapes and all.
        Path(_stream_address(settings).removeprefix("file://")),
        reporting,
        retry,
        Faults(settings.fault),
        _latency(reporting),
    )
    letters = EventLetters(spark, reporting.letters, batch)
    jvm: Any = spark._jvm
    passed_over = PassedOver(
        settings.ecommerce_input_path,
        str(jvm.java.lang.System.getProperty("sun.jnu.encoding")),
        settings.ecommerce_interval_seconds,
    )
    return EcommercePipeline(settings, spark, reporting, batch, letters, retry, passed_over)


def prepare_database(settings: Settings) -> None:
    """Wait until PostgreSQL answers, then make the tables that are missing.

    Raises ConfigurationError that names POSTGRES_DSN and the remedy: no server, a table of somebody else with
    the same name, a right that is missing.
    """
    dsn = settings.postgres_dsn.get_secret_value()
    wait_for_server(dsn, settings.postgres_wait_seconds, logger.warning)
    try:
        with session(dsn) as connection:
            unfit = place_fault(connection)
            if unfit is not None:
                raise ConfigurationError(unfit)
            fault = column_fault(connection)
            if fault is None:
                ensure_tables(connection)
                missing = missing_grants(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"The user of POSTGRES_DSN may not make tables ({error.diag.message_primary}). Let it: "
            "GRANT CREATE, USAGE ON SCHEMA public TO …"
        ) from None
    if fault is not None:
        raise ConfigurationError(
            f"In the database of POSTGRES_DSN {fault}, so it is not this pipeline's. Rename that table, or "
            "choose another database."
        )
    if missing:
        raise ConfigurationError(
            f"The user of POSTGRES_DSN may not do all that a batch does. Let it: {'; '.join(missing)}"
        )


def _latency(reporting: StreamReporting) -> Callable[[Outcome], None]:
    latency = EventLatency(reporting.metrics, LATENCY_BOUNDS)

    def observe(outcome: Outcome) -> None:
        found = outcome.latency
        latency.observe(found.buckets, found.total_seconds, found.max_seconds)

    return observe


def _retry_policy(settings: Settings, reporting: StreamReporting) -> RetryPolicy:
    def on_retry(error: BaseException) -> None:
        reporting.metrics.retried(error)
        logger.warning(f"🔁 PostgreSQL does not answer ({type(error).__name__}); the batch is tried again")

    return RetryPolicy(settings.retry_attempts, _RETRY_BASE_SECONDS, _RETRY_MAX_SECONDS, on_retry)


def _stream_address(settings: Settings) -> str:
    return (_checkpoint(settings) / _STREAM).absolute().as_uri()


def _checkpoint(settings: Settings) -> Path:
    return settings.checkpoint_location / PIPELINE


def _prepare_folder(settings: Settings) -> None:
    folder = settings.ecommerce_input_path
    try:
        if not folder.exists():
            folder.mkdir(parents=True)
            logger.info(f"📂 {folder} was made; files `*.csv` are taken from there")
        next(folder.iterdir(), None)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be read ({error.strerror}). Make it readable or correct "
            "ECOMMERCE_INPUT_PATH."
        ) from None
