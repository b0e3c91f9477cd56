"""Where the records come from: Kafka, or, for the demo, files that stand in for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from settings import Settings
from sources.json_files import JsonFiles
from sources.kafka_broker import KafkaBroker
from sources.kafka_stream import Span, batch_span, read_topics


class Broker(Protocol):
    """What the pipeline asks of the cluster; see KafkaBroker."""

    def topic_id(self, topic: str) -> str | None:
        """What tells this topic from another of the same name; None without one."""
        ...

    def earliest(self, topic: str) -> dict[int, int]:
        """The first offset that is still there, by partition."""
        ...

    def latest(self, topic: str) -> dict[int, int]:
        """The offset that the next record gets, by partition."""
        ...

    def ping(self) -> None:
        """Raise UnavailableError when nobody answers."""
        ...

    def close(self) -> None:
        """Let the connections go."""
        ...


@dataclass(frozen=True)
class Feed:
    """A cluster, its topics as streams with the columns of Spark's Kafka source, and what a batch reads.

    `span` gets the query's checkpoint, the batch's number, the topic and the batch.
    """

    name: str
    broker: Broker
    read: Callable[[str], DataFrame]
    span: Callable[[Path, int, str, DataFrame], Span]


def kafka_feed(settings: Settings, spark: SparkSession) -> Feed:
    """The cluster of KAFKA_BOOTSTRAP_SERVERS. Raises ConfigurationError when it cannot be an address."""
    broker = KafkaBroker(spark, settings.kafka_bootstrap_servers, settings.kafka_options)

    def read(topic: str) -> DataFrame:
        return read_topics(spark, settings, [topic], settings.kafka_max_offsets_per_trigger)

    return Feed("Kafka", broker, read, _kafka_span)


def file_feed(folder: Path, spark: SparkSession) -> Feed:
    """Files of JSON lines below `folder`, one folder a topic."""
    files = JsonFiles(folder, spark)
    return Feed("Files", files, files.read, files.span)


def _kafka_span(checkpoint: Path, number: int, topic: str, _frame: DataFrame) -> Span:
    return batch_span(checkpoint, number, topic)
