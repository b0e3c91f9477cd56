"""The stock pipeline's wiring: builds the parts from Settings and hands them to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pymongo import ReadPreference, WriteConcern
from pymongo.database import Database
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from analytics.stock.rankings import LoyaltyRules, RiskRules, profit
from analytics.stock.rules import parse
from checkpoint.lock import hold
from monitoring.kafka_flow import KafkaFlow
from monitoring.logs import get_logger
from monitoring.query_metrics import measured_queries
from pipelines.engine.faults import Faults
from pipelines.engine.kafka_connector import connector_conf, wait_for_broker
from pipelines.engine.query_watch import QueryWatch
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.supervisor import BatchFunction, BatchStream, Supervisor
from pipelines.engine.topics import TopicInput
from pipelines.stock.batch import STREAM, StockBatch
from pipelines.stock.kafka_input import open_input, require_topics, topics_of
from pipelines.stock.letters import StockLetters
from pipelines.stock.rankings import Rankings
from pipelines.stock.upkeep import Upkeep
from pipelines.stock.writer import StockWriter
from retry import RetryPolicy
from session import spark_session
from settings import Settings
from sinks.parquet.dataset import ParquetDataset
from sinks.stock.archive import DATASET, StockArchive
from sinks.stock.schema import ensure_indexes
from sinks.stock.totals import StockFormulas
from sources.kafka_broker import KafkaBroker
from sources.mongo_client import ServerClock, connect, ping

PIPELINE = "stock"

logger = get_logger(__name__)


@dataclass(frozen=True)
class StockPipeline:
    """Everything a run needs, built and connected."""

    settings: Settings
    spark: SparkSession
    database: Database[dict[str, Any]]
    source: TopicInput
    reporting: StreamReporting
    batch: StockBatch
    upkeep: Upkeep
    watch: QueryWatch
    retry: RetryPolicy
    _told: list[bool] = field(default_factory=lambda: [False])

    def once(self, stop: StopFlag) -> bool:
        """Process what is there now; False when a batch failed again and again."""
        return self._run(stop, once=True)

    def stream(self, stop: StopFlag) -> bool:
        """Process records as they come until `stop`; True, because failed batches come again."""
        logger.info("🚀 Spark streaming started – waiting for events; press Ctrl+C to stop")
        pings: dict[str, Callable[[], object]] = {"MongoDB": partial(ping, self.database)}
        pings |= {"Kafka": self.source.ping, **self.watch.pings()}
        with self.reporting.serving(pings), measured_queries(self.spark, self.reporting.metrics):
            return self._run(stop, once=False)

    def finish(self, out: Callable[[str], None]) -> None:
        """Print the session summary and export the batch history."""
        self.reporting.finish(out)

    def _run(self, stop: StopFlag, once: bool) -> bool:
        self.upkeep.start()
        stream = BatchStream(STREAM, self._process, self._start)
        supervisor = Supervisor([stream], self.retry, self._failed, self._idle, self._look)
        done = supervisor.run(stop, once)
        self.upkeep.look(at_once=once)
        return done

    def _process(self, *batch: Any) -> None:
        self._told[0] = False
        self.batch.process(*batch)

    def _start(self, batch: BatchFunction, once: bool) -> StreamingQuery:
        writer = self.source.frame().writeStream.queryName(PIPELINE).foreachBatch(batch)
        writer = writer.option("checkpointLocation", f"file://{_events(self.settings).absolute()}")
        interval = f"{round(self.settings.stock_interval_seconds * 1000)} milliseconds"
        return (
            writer.trigger(availableNow=True) if once else writer.trigger(processingTime=interval)
        ).start()

    def _look(self, stream: str, query: StreamingQuery) -> None:
        self.watch.look(stream, query)
        self.upkeep.look()

    def _idle(self, stream: str) -> None:
        if not self._told[0]:
            self._told[0] = True
            logger.info("📉 No new data - keeping previous results")
        self.reporting.idle(stream)

    def _failed(self, stream: str, error: BaseException) -> None:
        self.watch.dead(stream)
        self.reporting.failed(stream, error)


@contextmanager
def open_pipeline(settings: Settings, streaming: bool) -> Iterator[StockPipeline]:
    """Build, check and connect the pipeline; stops Spark and releases the folders at the end.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is processed, pymongo's
    errors when there is no database.
    """
    with locked(settings):
        logger.info(f"🚀 Starting the stock pipeline; 📂 checkpoint location: {_checkpoint(settings)}")
        database = open_database(settings)
        logger.info(f"✅ Successfully connected to MongoDB, database {database.name}")
        with spark_session(settings.spark, streaming, connector_conf(settings)) as spark:
            broker = KafkaBroker(spark, settings.kafka_bootstrap_servers, settings.kafka_options)
            try:
                wait_for_broker(broker, settings)
                archive = open_archive(settings)
                source = open_input(spark, settings, broker, _events(settings), archive)
                require_topics(source)
                topics = ", ".join(f"{kind}='{topic}'" for kind, topic in topics_of(settings).items())
                logger.info(f"✅ Successfully connected to all Kafka topics: {topics}")
                yield assemble(settings, spark, database, source, archive)
            finally:
                broker.close()


@contextmanager
def open_retry(settings: Settings) -> Iterator[StockLetters]:
    """What tries dead letters again; Spark runs inside the block, Kafka is not needed.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is tried.
    """
    with locked(settings):
        database = open_database(settings)
        with spark_session(settings.spark, False) as spark:
            yield assemble_retry(settings, spark, database)


def open_database(settings: Settings) -> Database[dict[str, Any]]:
    """The stock database with its indexes. pymongo's errors pass through when it does not answer."""
    client = connect(settings.mongo_uri.get_secret_value(), round(settings.mongo_timeout_seconds * 1000))
    # Majority, so that no election takes back what was acknowledged before Kafka's offsets were noted.
    database = client.get_database(
        settings.stock_db_name, read_preference=ReadPreference.PRIMARY, write_concern=WriteConcern("majority")
    )
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
) -> StockPipeline:
    """Wire the parts; tests come in through this door with their own session, database and source."""
    reporting = StreamReporting(PIPELINE, settings, settings.stock_interval_seconds)
    flow = KafkaFlow(reporting.metrics, [STREAM])
    batch = _batch(settings, database, reporting, StockArchive(archive), source, flow)
    loyalty = _loyalty(settings)
    text = "Totals that were not the sum of the invoices and were set right by a recount"
    mended = reporting.metrics.registry.counter("totals_mended_total", text)
    return StockPipeline(
        settings=settings,
        spark=spark,
        database=database,
        source=source,
        reporting=reporting,
        batch=batch,
        upkeep=Upkeep(batch, settings.reconcile_interval_hours, repr(loyalty), mended.inc),
        watch=QueryWatch({STREAM: source.waiting}, flow),
        retry=RetryPolicy(settings.retry_attempts, settings.retry_base_seconds, settings.retry_max_seconds),
    )


def assemble_retry(
    settings: Settings, spark: SparkSession, database: Database[dict[str, Any]]
) -> StockLetters:
    """Wire what tries dead letters again; tests come in through this door."""
    reporting = StreamReporting(PIPELINE, settings, settings.stock_interval_seconds)
    batch = _batch(settings, database, reporting)
    Upkeep(batch, 0, repr(_loyalty(settings))).start()
    return StockLetters(spark, reporting.letters, batch)


def _batch(
    settings: Settings,
    database: Database[dict[str, Any]],
    reporting: StreamReporting,
    archive: StockArchive | None = None,
    source: TopicInput | None = None,
    flow: KafkaFlow | None = None,
) -> StockBatch:
    formulas = StockFormulas(_loyalty(settings).standing, profit)
    return StockBatch(
        parse=partial(parse, topics=topics_of(settings)),
        writer=StockWriter(database, formulas, ServerClock(database.client)),
        rankings=Rankings(database, RiskRules(settings.expiry_risk_days, settings.dead_stock_days)),
        reporting=reporting,
        retry=_retry_policy(settings, reporting),
        faults=Faults(settings.fault),
        archive=archive,
        source=source,
        on_lost=partial(flow.lost, STREAM) if flow else None,
    )


def _loyalty(settings: Settings) -> LoyaltyRules:
    return LoyaltyRules(
        promo=int(settings.revenue_threshold_promo * 100),
        silver=int(settings.revenue_threshold_silver * 100),
        gold=int(settings.revenue_threshold_gold * 100),
    )


def _retry_policy(settings: Settings, reporting: StreamReporting) -> RetryPolicy:
    def on_retry(error: BaseException) -> None:
        reporting.metrics.retried(error)
        logger.warning(f"🔁 MongoDB does not answer ({type(error).__name__}); the batch is tried again")

    return RetryPolicy(
        settings.retry_attempts, settings.retry_base_seconds, settings.retry_max_seconds, on_retry
    )


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """The checkpoint and the cold store are ours inside the block."""
    with hold(_checkpoint(settings)), hold(ParquetDataset(settings.stock_cold_path, DATASET).staging):
        yield


def _checkpoint(settings: Settings) -> Path:
    return settings.checkpoint_location / PIPELINE


def _events(settings: Settings) -> Path:
    return _checkpoint(settings) / "events"
