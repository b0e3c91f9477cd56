"""The e-commerce pipeline's wiring: builds the parts from Settings and hands them to each other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from pyspark.sql import DataFrame, SparkSession

from analytics.ecommerce.rules import SPARK_CONF, UNREADABLE
from checkpoint.lock import hold
from checkpoint.stream_folder import begin_anew
from contracts import ConfigurationError
from monitoring.ecommerce.latency_metrics import EventLatency
from monitoring.logs import get_logger
from monitoring.stream_flow import StreamFlow
from pipelines.ecommerce.batch import EventsWork, TakenEvents
from pipelines.ecommerce.letters import EventLetters
from pipelines.ecommerce.passed_over import KEEP, MAX_NOTED, PassedOver
from pipelines.ecommerce.pipeline import ECOMMERCE
from pipelines.engine.executors import send_code
from pipelines.engine.faults import Faults
from pipelines.engine.pipeline import Retry
from pipelines.engine.query_watch import QueryWatch
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.retry_policy import retry_policy
from pipelines.engine.stream_batch import StreamBatch
from pipelines.engine.stream_job import Stream, StreamJob
from session import spark_session
from settings import Settings
from sinks.ecommerce.connection import session, wait_for_server
from sinks.ecommerce.insertion import LATENCY_BOUNDS
from sinks.ecommerce.needs import column_fault, missing_grants, place_fault
from sinks.ecommerce.schema import ensure_tables, known_version
from sinks.ecommerce.staging import LostRowsError
from sinks.ecommerce.trial import write_fault
from sources.ecommerce.csv_files import new_files, noted_files
from sources.ecommerce.read_files import ReadFiles

STREAM = "events"
_PING_SECONDS = 2.0

logger = get_logger(__name__)


@contextmanager
def open_job(settings: Settings, streaming: bool, _part: str) -> Iterator[StreamJob]:
    """Build, check and connect the pipeline; stops Spark and releases the checkpoint folder at the end.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is processed.
    """
    with _opened(settings, streaming) as spark:
        yield assemble(settings, spark)


@contextmanager
def open_retry(settings: Settings) -> Iterator[Retry]:
    """The function that tries dead letters again; Spark runs inside the block.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is tried.
    """
    with _opened(settings, False) as spark:
        yield assemble_retry(settings, spark).retry


@contextmanager
def _opened(settings: Settings, streaming: bool) -> Iterator[SparkSession]:
    with hold(_checkpoint(settings)):
        logger.info(f"🚀 Starting the e-commerce pipeline; 📂 checkpoint location: {_checkpoint(settings)}")
        prepare_database(settings)
        _prepare_folder(settings)
        _take_over_checkpoint(_checkpoint(settings).absolute() / STREAM)
        with spark_session(settings.spark, streaming) as spark:
            yield spark


def assemble(settings: Settings, spark: SparkSession) -> StreamJob:
    """Wire the parts; tests come in through this door with their own session and database."""
    reporting, work, batch = _batch(settings, spark)
    folder, interval_seconds = settings.ecommerce_input_path, settings.ecommerce_interval_seconds
    how = settings.ecommerce_read_files
    jvm: Any = spark._jvm
    encoding = str(jvm.java.lang.System.getProperty("sun.jnu.encoding"))
    if how != KEEP:
        # These are read again by `ecommerce dlq retry`.
        letters = reporting.letters.list()
        work.unreadable.update(one.record["source"] for one in letters if one.reason == UNREADABLE)

    def files() -> DataFrame:
        if how != KEEP and noted_files(work.checkpoint) > MAX_NOTED:
            logger.info(f"🗂️ Spark's list of read files begins anew after more than {MAX_NOTED:,}")
            begin_anew(work.checkpoint, {})
        return new_files(spark, folder, settings.ecommerce_max_files_per_trigger)

    passed_over = PassedOver(
        folder, encoding, interval_seconds, ReadFiles(folder, work.checkpoint), how, work.unreadable
    )
    return StreamJob(
        spark=spark,
        streams=[Stream(batch, files, work.checkpoint)],
        reporting=reporting,
        retry=retry_policy(settings),
        interval_seconds=interval_seconds,
        reads=str(folder),
        watch=QueryWatch(StreamFlow(reporting.metrics, [STREAM])),
        pings={"PostgreSQL": partial(_ping, settings.postgres_dsn.get_secret_value())},
        companions=[passed_over],
    )


def assemble_retry(settings: Settings, spark: SparkSession) -> EventLetters:
    """Wire what tries dead letters again; tests come in through this door."""
    _, _, batch = _batch(settings, spark)
    return EventLetters(spark, batch)


def _batch(
    settings: Settings, spark: SparkSession
) -> tuple[StreamReporting, EventsWork, StreamBatch[DataFrame, TakenEvents]]:
    send_code(spark)
    for name, value in SPARK_CONF.items():
        spark.conf.set(name, value)
    reporting = StreamReporting(ECOMMERCE, settings, settings.ecommerce_interval_seconds)
    checkpoint = _checkpoint(settings).absolute() / STREAM
    latency = EventLatency(reporting.metrics, LATENCY_BOUNDS)
    work = EventsWork(settings.postgres_dsn.get_secret_value(), checkpoint, latency)
    retry = retry_policy(settings, partial(_tell_retry, reporting))
    return reporting, work, StreamBatch(STREAM, work, reporting, retry, Faults(settings.fault))


def _ping(dsn: str) -> None:
    with session(dsn, quiet_seconds=_PING_SECONDS, asks=False) as connection:
        connection.execute("SELECT 1")


def prepare_database(settings: Settings) -> None:
    """Wait until PostgreSQL answers, then make the tables that are missing.

    Raises ConfigurationError that names POSTGRES_DSN and the remedy: no server, a foreign table with
    the same name, a right that is missing, a table that takes no row.
    """
    dsn = settings.postgres_dsn.get_secret_value()
    wait_for_server(dsn, settings.postgres_wait_seconds, logger.warning)
    try:
        with session(dsn) as connection:
            unfit = place_fault(connection)
            if unfit is not None:
                raise ConfigurationError(unfit)
            known_version(connection)
            fault = column_fault(connection)
            if fault is None:
                ensure_tables(connection)
                missing = missing_grants(connection)
                unfit = None if missing else write_fault(connection)
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
    if unfit is not None:
        raise ConfigurationError(unfit)


def _tell_retry(reporting: StreamReporting, error: BaseException) -> None:
    reporting.metrics.retried(error)
    told = f"PostgreSQL does not answer ({type(error).__name__})"
    if isinstance(error, LostRowsError):
        told = str(error)
    elif psycopg.errors.ReadOnlySqlTransaction.__name__ in f"{type(error).__name__} {error}":
        told = "PostgreSQL can only be read: a replica, or default_transaction_read_only"
    logger.warning(f"🔁 {told}; the batch is tried again")


def _checkpoint(settings: Settings) -> Path:
    return settings.checkpoint_location / ECOMMERCE.name


def _take_over_checkpoint(folder: Path) -> None:
    """Move here what earlier versions kept in a folder with `%20` in its name for a blank, and so on."""
    earlier = Path(folder.as_uri().removeprefix("file://"))
    if earlier != folder and earlier.is_dir() and not folder.exists():
        shutil.move(earlier, folder)
        logger.info(f"📂 The stream's checkpoint was moved from {earlier} to {folder}")


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
