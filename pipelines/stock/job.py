"""The stock pipeline's wiring: builds the parts from Settings and hands them to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pymongo import ReadPreference, WriteConcern
from pymongo.database import Database
from pyspark.sql import SparkSession

from analytics.stock.rankings import LoyaltyRules, RiskRules, profit
from checkpoint.known_topics import FROM_THE_BEGINNING
from checkpoint.lock import hold
from contracts import ConfigurationError
from monitoring.logs import get_logger
from monitoring.stream_flow import KafkaFlow
from pipelines.engine.faults import Faults
from pipelines.engine.kafka_connector import connector_conf, wait_for_broker
from pipelines.engine.pipeline import Retry
from pipelines.engine.query_watch import QueryWatch
from pipelines.engine.records_again import RecordsAgain
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.retry_policy import retry_policy
from pipelines.engine.stream_batch import StreamBatch
from pipelines.engine.stream_job import Stream, StreamJob
from pipelines.engine.topics import TopicInput, letters_table
from pipelines.stock.batch import STREAM, Records, StockWork
from pipelines.stock.kafka_input import open_input, topics_of
from pipelines.stock.pipeline import STOCK
from pipelines.stock.rankings import Rankings
from pipelines.stock.upkeep import Upkeep, totals_mended
from pipelines.stock.writer import StockTaken, StockWriter
from session import spark_session
from settings import Settings
from sinks.parquet.dataset import ParquetDataset
from sinks.stock.archive import DATASET, StockArchive
from sinks.stock.ledger import StockLedger, require_known_stock
from sinks.stock.schema import ensure_indexes
from sinks.stock.totals import StockFormulas
from sinks.stream_letters import RejectedRecord
from sources.kafka_broker import KafkaBroker
from sources.mongo_client import ServerClock, connect, passed_over, ping

# Of dead letters, in memory whatever they hold.
_RECORDS_AT_ONCE = 20_000

logger = get_logger(__name__)


@contextmanager
def open_job(settings: Settings, streaming: bool, _part: str) -> Iterator[StreamJob]:
    """Build, check and connect the pipeline; stops Spark and releases the folders at the end.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is processed, pymongo's
    errors when there is no database.
    """
    with locked(settings):
        logger.info(f"🚀 Starting the stock pipeline; 📂 checkpoint location: {_checkpoint(settings)}")
        logger.info(f"📡 Connecting to MongoDB Database: {settings.stock_db_name}")
        database = open_database(settings)
        logger.info(f"✅ Successfully connected to MongoDB, database {database.name}")
        with spark_session(settings.spark, streaming, connector_conf(settings)) as spark:
            broker = KafkaBroker(spark, settings.kafka_bootstrap_servers, settings.kafka_options)
            try:
                wait_for_broker(broker, settings)
                archive = open_archive(settings)
                source = open_input(spark, settings, broker, _events(settings), archive)
                if missing := source.missing():
                    raise ConfigurationError(missing)
                topics = ", ".join(f"{kind}='{topic}'" for kind, topic in topics_of(settings).items())
                logger.info(f"✅ Successfully connected to all Kafka topics: {topics}")
                yield assemble(settings, spark, database, source, archive)
            finally:
                broker.close()


@contextmanager
def open_retry(settings: Settings) -> Iterator[Retry]:
    """The function that tries dead letters again; neither Spark nor Kafka is needed.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is tried.
    """
    with locked(settings):
        again, upkeep = _retrying(settings, open_database(settings))
        try:
            yield again.retry
        finally:
            upkeep.end()


@contextmanager
def open_upkeep(settings: Settings) -> Iterator[Upkeep]:
    """Hold the stock database inside the block, without Spark and Kafka. Raises what `open_retry` raises."""
    with locked(settings):
        _, upkeep = _retrying(settings, open_database(settings))
        try:
            yield upkeep
        finally:
            upkeep.end()


def open_database(settings: Settings) -> Database[dict[str, Any]]:
    """The stock database with its indexes. pymongo's errors pass through when it does not answer."""
    client = connect(settings.mongo_uri.get_secret_value(), round(settings.mongo_timeout_seconds * 1000))
    if odd := passed_over(settings.mongo_uri.get_secret_value(), settings.stock_db_name, "STOCK_DB_NAME"):
        logger.warning(odd)
    # Majority, so that no election takes back what was acknowledged before Kafka's offsets were noted.
    database = client.get_database(
        settings.stock_db_name, read_preference=ReadPreference.PRIMARY, write_concern=WriteConcern("majority")
    )
    # Making indexes may take long, and would wait as long for a server that is away.
    ping(database, settings.mongo_timeout_seconds)
    require_known_stock(StockLedger(database).find())
    ensure_indexes(database)
    return database


def open_archive(settings: Settings) -> ParquetDataset:
    """The cold store, which only who is inside `locked` may write."""
    archive = ParquetDataset(settings.stock_cold_path, DATASET)
    archive.open()
    return archive


def assemble(
    settings: Settings,
    spark: SparkSession,
    database: Database[dict[str, Any]],
    source: TopicInput,
    archive: ParquetDataset,
) -> StreamJob:
    """Wire the parts; tests come in through this door with their own session, database and source."""
    reporting = StreamReporting(STOCK, settings, settings.stock_interval_seconds)
    flow, idle = KafkaFlow(reporting.metrics, [STREAM]), _IdleNote()
    work = StockWork(
        kinds=_kinds(settings),
        writer=_writer(settings, database),
        rankings=_rankings(settings, database),
        archive=StockArchive(archive),
        source=source,
        on_lost=partial(flow.lost, STREAM),
        on_batch=idle.forget,
    )
    batch = _batch(settings, work, reporting)
    mended = totals_mended(reporting.metrics)
    hours, rules = settings.reconcile_interval_hours, repr(_loyalty(settings))
    upkeep = Upkeep(work, batch.retry, batch.faults, hours, rules, mended.inc, settings.stock_sales_keep_days)
    return StreamJob(
        spark=spark,
        streams=[Stream(batch, source.frame, _events(settings), source.missing, FROM_THE_BEGINNING)],
        reporting=reporting,
        retry=retry_policy(settings),
        interval_seconds=settings.stock_interval_seconds,
        reads=", ".join(topics_of(settings).values()),
        watch=QueryWatch(flow, {STREAM: source.waiting}),
        pings={"MongoDB": partial(ping, database), "Kafka": source.ping},
        companions=[upkeep],
        on_idle=idle.tell,
    )


def assemble_retry(
    settings: Settings, database: Database[dict[str, Any]]
) -> RecordsAgain[Records, StockTaken]:
    """Wire what tries dead letters again; tests come in through this door."""
    return _retrying(settings, database)[0]


def _retrying(
    settings: Settings, database: Database[dict[str, Any]]
) -> tuple[RecordsAgain[Records, StockTaken], Upkeep]:
    reporting = StreamReporting(STOCK, settings, settings.stock_interval_seconds)
    work = StockWork(_kinds(settings), _writer(settings, database), _rankings(settings, database))
    batch = _batch(settings, work, reporting)
    days = settings.stock_sales_keep_days
    upkeep = Upkeep(work, batch.retry, batch.faults, 0, repr(_loyalty(settings)), sales_keep_days=days)
    upkeep.start()

    def again(records: Sequence[RejectedRecord]) -> Records:
        return Records(work.rows_of(letters_table(records)))

    return RecordsAgain(batch, again, _RECORDS_AT_ONCE), upkeep


class _IdleNote:
    """Says once after a batch that nothing new has come."""

    def __init__(self) -> None:
        self._is_told = False

    def tell(self) -> None:
        if not self._is_told:
            self._is_told = True
            logger.info("📉 No new data - keeping previous results")

    def forget(self) -> None:
        self._is_told = False


def _batch(
    settings: Settings, work: StockWork, reporting: StreamReporting
) -> StreamBatch[Records, StockTaken]:
    def on_retry(error: BaseException) -> None:
        reporting.metrics.retried(error)
        logger.warning(f"🔁 MongoDB does not answer ({type(error).__name__}); the batch is tried again")

    return StreamBatch(STREAM, work, reporting, retry_policy(settings, on_retry), Faults(settings.fault))


def _kinds(settings: Settings) -> dict[str, str]:
    return {topic: kind for kind, topic in topics_of(settings).items()}


def _writer(settings: Settings, database: Database[dict[str, Any]]) -> StockWriter:
    formulas = StockFormulas(_loyalty(settings).standing, profit)
    return StockWriter(database, formulas, ServerClock(database.client))


def _rankings(settings: Settings, database: Database[dict[str, Any]]) -> Rankings:
    return Rankings(database, RiskRules(settings.expiry_risk_days, settings.dead_stock_days))


def _loyalty(settings: Settings) -> LoyaltyRules:
    return LoyaltyRules(
        promo=int(settings.revenue_threshold_promo * 100),
        silver=int(settings.revenue_threshold_silver * 100),
        gold=int(settings.revenue_threshold_gold * 100),
    )


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """The checkpoint and the cold store are ours inside the block."""
    archive = ParquetDataset(settings.stock_cold_path, DATASET)
    with hold(_checkpoint(settings)), hold(archive.staging, "cold store", "STOCK_COLD_PATH"):
        yield


def _checkpoint(settings: Settings) -> Path:
    return settings.checkpoint_location / STOCK.name


def _events(settings: Settings) -> Path:
    return _checkpoint(settings) / "events"
