"""The esports pipeline's wiring: builds the parts from Settings and hands them to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from analytics.esports.rules import DATASETS, MATCHES, PLAYERS, SPARK_CONF, Dataset
from checkpoint.lock import hold
from contracts import AlreadyRunningError, ConfigurationError
from monitoring.kafka_flow import KafkaFlow
from monitoring.logs import get_logger
from monitoring.query_metrics import measured_queries
from pipelines.engine.faults import Faults
from pipelines.engine.kafka_connector import connector_conf, wait_for_broker
from pipelines.engine.query_watch import QueryWatch
from pipelines.engine.reporting import StreamReporting, open_stream_letters
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.supervisor import BatchFunction, BatchStream, Supervisor
from pipelines.esports.batch import TopicBatch
from pipelines.esports.feed import Feed, kafka_feed, missing_in
from pipelines.esports.letters import RecordLetters
from retry import RetryPolicy
from session import spark_session
from settings import Settings
from sinks.parquet.dataset import ParquetDataset

PIPELINE = "esports"
ALL = "all"
# A failed query is started again after 1, 2, 4 … seconds, at most 30.
_RETRY_BASE_SECONDS, _RETRY_MAX_SECONDS = 1.0, 30.0
_CONF = {
    **SPARK_CONF,
    # The default has nanoseconds, which end in 2262, and a type that only Spark's kin know.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}

logger = get_logger(__name__)


@dataclass(frozen=True)
class EsportsPipeline:
    """Everything a run needs, built and connected."""

    settings: Settings
    spark: SparkSession
    feed: Feed
    reporting: StreamReporting
    batches: Sequence[TopicBatch]
    watch: QueryWatch
    retry: RetryPolicy

    def once(self, stop: StopFlag) -> bool:
        """Process what is in the topics now; False when a batch failed again and again.

        Raises ConfigurationError when a topic does not exist.
        """
        missing = [topic for batch in self.batches for topic in batch.source.require()]
        if missing:
            raise ConfigurationError(missing_in(self.settings)(" and ".join(missing)))
        return self._run(stop, once=True)

    def stream(self, stop: StopFlag) -> bool:
        """Process records as they come until `stop`; True, because failed batches come again."""
        topics = ", ".join(batch.topic for batch in self.batches)
        seconds = self.settings.esports_interval_seconds
        logger.info(f"🔄 Reading {topics} every {seconds:g} seconds; press Ctrl+C to stop")
        pings = {self.feed.name: self.feed.broker.ping, **self.watch.pings()}
        with self.reporting.serving(pings):
            return self._run(stop, once=False)

    def finish(self, out: Callable[[str], None]) -> None:
        """Print the session summary and export the batch history."""
        self.reporting.finish(out)

    def _run(self, stop: StopFlag, once: bool) -> bool:
        streams = [
            BatchStream(batch.dataset.name, batch.process, partial(self._start, batch))
            for batch in self.batches
        ]
        supervisor = Supervisor(streams, self.retry, self._failed, self.reporting.idle, self.watch.look)
        with measured_queries(self.spark, self.reporting.metrics):
            return supervisor.run(stop, once)

    def _failed(self, stream: str, error: BaseException) -> None:
        self.watch.dead(stream)
        self.reporting.failed(stream, error)

    def _start(self, batch: TopicBatch, function: BatchFunction, once: bool) -> StreamingQuery:
        writer = batch.source.frame().writeStream.queryName(batch.dataset.name).foreachBatch(function)
        writer = writer.option("checkpointLocation", f"file://{batch.checkpoint.absolute()}")
        interval = f"{round(self.settings.esports_interval_seconds * 1000)} milliseconds"
        return (
            writer.trigger(availableNow=True) if once else writer.trigger(processingTime=interval)
        ).start()


@contextmanager
def open_pipeline(settings: Settings, streaming: bool, job: str = ALL) -> Iterator[EsportsPipeline]:
    """Build, check and connect the pipeline; stops Spark and releases the folders at the end.

    `job` is `matches`, `players` or `all`. Raises ConfigurationError or AlreadyRunningError with the remedy
    before anything is processed.
    """
    chosen = [dataset for dataset in DATASETS if job in (ALL, dataset.name)]
    with locked(settings, chosen):
        logger.info(f"🚀 Starting the esports pipeline; 📂 checkpoint location: {_checkpoint(settings)}")
        with spark_session(settings.spark, streaming, connector_conf(settings)) as spark:
            pipeline = assemble(settings, spark, chosen)
            try:
                wait_for_broker(pipeline.feed.broker, settings)
                yield pipeline
            finally:
                pipeline.feed.broker.close()


@contextmanager
def open_retry(settings: Settings) -> Iterator[RecordLetters]:
    """What tries dead letters again; Spark runs inside the block, Kafka is not needed.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is tried.
    """
    with locked(settings, DATASETS), spark_session(settings.spark, False) as spark:
        yield assemble_retry(settings, spark)


def assemble(
    settings: Settings,
    spark: SparkSession,
    chosen: Sequence[Dataset] = DATASETS,
    feed: Feed | None = None,
) -> EsportsPipeline:
    """Wire the parts; tests and the demo come in through this door. `feed` is Kafka's unless given."""
    _configure(spark)
    feed = feed or kafka_feed(settings, spark)
    reporting = StreamReporting(PIPELINE, settings, settings.esports_interval_seconds)
    flow = KafkaFlow(reporting.metrics, [dataset.name for dataset in chosen])
    faults = Faults(settings.fault)
    batches = []
    for dataset in chosen:
        store = _open_store(settings, dataset)
        checkpoint = _checkpoint(settings) / dataset.name
        topic, lost = topic_of(settings, dataset), partial(flow.lost, dataset.name)
        source = feed.open(topic, checkpoint, store)
        batches.append(TopicBatch(dataset, topic, store, source, checkpoint, reporting, faults, lost))
    retry = RetryPolicy(settings.retry_attempts, _RETRY_BASE_SECONDS, _RETRY_MAX_SECONDS)
    watch = QueryWatch({batch.dataset.name: batch.source.waiting for batch in batches}, flow)
    return EsportsPipeline(settings, spark, feed, reporting, batches, watch, retry)


def assemble_retry(settings: Settings, spark: SparkSession) -> RecordLetters:
    """Wire what tries dead letters again; tests come in through this door."""
    _configure(spark)
    datasets = {
        topic_of(settings, dataset): (dataset, _open_store(settings, dataset)) for dataset in DATASETS
    }
    return RecordLetters(spark, open_stream_letters(PIPELINE, settings), datasets, Faults(settings.fault))


def topic_of(settings: Settings, dataset: Dataset) -> str:
    """The topic that becomes `dataset`."""
    topics = {MATCHES.name: settings.kafka_topic_matches, PLAYERS.name: settings.kafka_topic_players}
    return topics[dataset.name]


def _configure(spark: SparkSession) -> None:
    for name, value in _CONF.items():
        spark.conf.set(name, value)


def _open_store(settings: Settings, dataset: Dataset) -> ParquetDataset:
    store = ParquetDataset(settings.esports_output_path, dataset.name)
    store.open()
    return store


@contextmanager
def locked(settings: Settings, datasets: Sequence[Dataset]) -> Iterator[None]:
    """The checkpoint and the datasets are ours inside the block."""
    with ExitStack() as stack:
        stack.enter_context(hold(_checkpoint(settings)))
        for dataset in datasets:
            store = ParquetDataset(settings.esports_output_path, dataset.name)
            try:
                stack.enter_context(hold(store.staging))
            except AlreadyRunningError:
                raise AlreadyRunningError(
                    f"Another process writes into {store.folder}. Stop it first, or give this one a "
                    "folder of its own in ESPORTS_OUTPUT_PATH."
                ) from None
        yield


def _checkpoint(settings: Settings) -> Path:
    return settings.checkpoint_location / PIPELINE
