"""Where the records come from: Kafka, or, for the demo, files that stand in for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from pipelines.engine.kafka_input import KafkaInput
from pipelines.engine.topics import Reading, TopicInput
from settings import Settings
from sinks.parquet.dataset import ParquetDataset
from sources.esports.json_files import JsonFiles
from sources.kafka_broker import KafkaBroker
from sources.kafka_stream import usable


class Broker(Protocol):
    """What the pipeline asks of the cluster; see KafkaBroker."""

    def ping(self) -> None:
        """Raise UnavailableError when no broker answers."""
        ...

    def close(self) -> None:
        """Let the connections go."""
        ...


@dataclass(frozen=True)
class Feed:
    """A cluster; `open` gives one of its topics, for the query's checkpoint and the dataset it becomes."""

    name: str
    broker: Broker
    open: Callable[[str, Path, ParquetDataset], TopicInput]


def kafka_feed(settings: Settings, spark: SparkSession) -> Feed:
    """The cluster of KAFKA_BOOTSTRAP_SERVERS. Raises ConfigurationError when it cannot be an address."""
    broker = KafkaBroker(spark, settings.kafka_bootstrap_servers, settings.kafka_options)

    def open_topic(topic: str, checkpoint: Path, store: ParquetDataset) -> TopicInput:
        at_most = settings.kafka_max_offsets_per_trigger
        explain = missing_in(settings)
        return KafkaInput(spark, settings, broker, checkpoint, [topic], at_most, store.consumed.ids, explain)

    return Feed("Kafka", broker, open_topic)


def missing_in(settings: Settings) -> Callable[[str], str]:
    """Says that a topic is missing."""
    return lambda topic: (
        f"The topic {topic} does not exist on Kafka at {settings.kafka_bootstrap_servers}. Create it, or "
        "correct KAFKA_TOPIC_MATCHES or KAFKA_TOPIC_PLAYERS."
    )


def file_feed(folder: Path, spark: SparkSession) -> Feed:
    """Files of JSON lines below `folder`, one folder a topic."""
    files = JsonFiles(folder, spark)
    return Feed("Files", files, lambda topic, _checkpoint, store: _FileInput(files, topic, store))


@dataclass(frozen=True)
class _FileInput:
    """A folder of files as a topic whose id is its name. Nothing of it expires."""

    files: JsonFiles
    topic: str
    store: ParquetDataset

    def missing(self) -> str | None:
        return None

    def frame(self) -> DataFrame:
        return self.files.read(self.topic)

    def open(self, frame: DataFrame, _number: int) -> Reading:
        span = {(self.topic, partition): ends for partition, ends in self.files.span(frame).items()}
        return Reading(span, {self.topic: self.topic}, usable(frame))

    def verify(self, _reading: Reading) -> None:
        pass

    def lost(self, _reading: Reading, _records: int, _read_expired: int) -> int:
        return 0

    def waiting(self) -> int:
        return max(0, self.files.end(self.topic) - self.store.consumed.end((self.topic, self.topic, 0)))

    def ping(self) -> None:
        self.files.ping()
