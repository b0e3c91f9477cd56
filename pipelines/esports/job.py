"""The esports pipeline's wiring: builds the parts from Settings and hands them to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession

from analytics.esports.rules import DATASETS, SPARK_CONF, Dataset
from checkpoint.known_topics import FROM_THE_BEGINNING
from checkpoint.lock import hold
from monitoring.logs import get_logger
from monitoring.stream_flow import KafkaFlow
from pipelines.engine.faults import Faults
from pipelines.engine.kafka_connector import connector_conf, wait_for_broker
from pipelines.engine.pipeline import ALL_PARTS, Retry
from pipelines.engine.query_watch import QueryWatch
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.retry_policy import retry_policy
from pipelines.engine.stream_batch import StreamBatch
from pipelines.engine.stream_job import Stream, StreamJob
from pipelines.esports.batch import TopicWork
from pipelines.esports.kafka_input import OpenInput, kafka_inputs, topic_of
from pipelines.esports.letters import RecordLetters
from pipelines.esports.pipeline import ESPORTS
from pipelines.esports.store import Store, store_of
from session import spark_session
from settings import Settings
from sources.kafka_broker import KafkaBroker
from surroundings.before_start import native_code

_CONF = {
    **SPARK_CONF,
    # The default has nanoseconds, which end in 2262, and a type that only Spark's kin know.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
}

logger = get_logger(__name__)


@contextmanager
def open_job(settings: Settings, streaming: bool, part: str) -> Iterator[StreamJob]:
    """Build, check and connect the pipeline; stops Spark and releases the folders at the end.

    `part` is `matches`, `players` or `all`. Raises ConfigurationError or AlreadyRunningError with the remedy
    before anything is processed.
    """
    chosen = [dataset for dataset in DATASETS if part in (ALL_PARTS, dataset.name)]
    with locked(settings, chosen):
        logger.info(f"🚀 Starting the esports pipeline; 📂 checkpoint location: {_checkpoint(settings)}")
        with spark_session(settings.spark, streaming, connector_conf(settings)) as spark:
            broker = KafkaBroker(spark, settings.kafka_bootstrap_servers, settings.kafka_options)
            try:
                wait_for_broker(broker, settings)
                yield assemble(settings, spark, kafka_inputs(spark, settings, broker), chosen)
            finally:
                broker.close()


@contextmanager
def open_retry(settings: Settings) -> Iterator[Retry]:
    """The function that tries dead letters again; Spark runs inside the block, Kafka is not needed.

    Raises ConfigurationError or AlreadyRunningError with the remedy before anything is tried.
    """
    with locked(settings, DATASETS), spark_session(settings.spark, False) as spark:
        yield assemble_retry(settings, spark).retry


def assemble(
    settings: Settings, spark: SparkSession, open_input: OpenInput, chosen: Sequence[Dataset] = DATASETS
) -> StreamJob:
    """Wire the parts; tests and the demo come in through this door."""
    _configure(spark)
    reporting = StreamReporting(ESPORTS, settings, settings.esports_interval_seconds)
    flow = KafkaFlow(reporting.metrics, [dataset.name for dataset in chosen])
    retry = retry_policy(settings)
    streams, sources = [], {}
    for dataset in chosen:
        store, name = _open_store(settings, dataset), dataset.name
        checkpoint = _checkpoint(settings) / name
        topic = topic_of(settings, dataset)
        source = open_input(topic, checkpoint, store)
        work = TopicWork(dataset, topic, store, source, checkpoint, partial(flow.lost, name))
        batch = StreamBatch(name, work, reporting, retry, Faults(settings.fault), label=name)
        streams.append(Stream(batch, source.frame, checkpoint, source.missing, FROM_THE_BEGINNING))
        sources[name] = source
    return StreamJob(
        spark=spark,
        streams=streams,
        reporting=reporting,
        retry=retry,
        interval_seconds=settings.esports_interval_seconds,
        reads=", ".join(topic_of(settings, dataset) for dataset in chosen),
        watch=QueryWatch(flow, {name: source.waiting for name, source in sources.items()}),
        # One cluster has them all.
        pings={"Kafka": sources[chosen[0].name].ping},
    )


def assemble_retry(settings: Settings, spark: SparkSession) -> RecordLetters:
    """Wire what tries dead letters again; tests come in through this door."""
    _configure(spark)
    datasets = {
        topic_of(settings, dataset): (dataset, _open_store(settings, dataset)) for dataset in DATASETS
    }
    return RecordLetters(spark, ESPORTS.open_letters(settings), datasets, Faults(settings.fault))


def _configure(spark: SparkSession) -> None:
    for name, value in _CONF.items():
        spark.conf.set(name, value)


def _open_store(settings: Settings, dataset: Dataset) -> Store:
    store = _store(settings, dataset)
    store.open()
    return store


def _store(settings: Settings, dataset: Dataset) -> Store:
    return store_of(dataset, settings.esports_output_path, settings.esports_delta_path, settings.object_store)


@contextmanager
def locked(settings: Settings, datasets: Sequence[Dataset]) -> Iterator[None]:
    """The checkpoint and the datasets are ours inside the block, and Spark can write Parquet files."""
    native_code()
    with ExitStack() as stack:
        stack.enter_context(hold(_checkpoint(settings)))
        for dataset in datasets:
            store = _store(settings, dataset)
            stack.enter_context(hold(store.staging, "output folder", "ESPORTS_OUTPUT_PATH"))
        yield


def _checkpoint(settings: Settings) -> Path:
    return settings.checkpoint_location / ESPORTS.name
