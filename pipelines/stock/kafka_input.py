"""The three topics as one stream: what is read, what was lost before that, and how much still waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pyspark.sql import DataFrame, SparkSession

from analytics.stock import CLIENTS, INVENTORY, SALES
from contracts import ConfigurationError, ServiceError
from monitoring.logs import get_logger
from settings import Settings
from sinks.parquet_dataset import ParquetDataset
from sources.kafka_broker import KafkaBroker
from sources.kafka_stream import batch_span, is_complete, lost_offsets, read_topics

logger = get_logger(__name__)


class StockInput(Protocol):
    """Where the records come from."""

    def frame(self) -> DataFrame:
        """A stream with the columns of Spark's Kafka source."""
        ...

    def topic_ids(self) -> Mapping[str, str]:
        """By topic, what tells it from another one of the same name. Raises ServiceError when one is gone."""
        ...

    def lost(self, number: int, rows: Iterable[Mapping[str, Any]]) -> int:
        """How many records of batch `number`, of which `rows` were read, had been deleted before."""
        ...

    def waiting(self) -> int:
        """How many records are there and not processed. Raises UnavailableError when that cannot be known."""
        ...

    def ping(self) -> None:
        """Raises ServiceError when the source does not answer."""
        ...


def topics_of(settings: Settings) -> dict[str, str]:
    """The topic of each kind of record."""
    return {
        SALES: settings.kafka_topic_sales,
        INVENTORY: settings.kafka_topic_inventory,
        CLIENTS: settings.kafka_topic_clients,
    }


@dataclass(frozen=True)
class KafkaInput:
    """The topics on Kafka; `checkpoint` is the query's folder, `archive` knows what was processed."""

    spark: SparkSession
    settings: Settings
    broker: KafkaBroker
    checkpoint: Path
    archive: ParquetDataset

    def require(self) -> None:
        """Raises ConfigurationError that names the topics that do not exist."""
        missing = [topic for topic in self._topics() if self.broker.topic_id(topic) is None]
        if missing:
            raise ConfigurationError(_missing(self.settings, missing))

    def frame(self) -> DataFrame:
        """One stream over all three. Raises UnavailableError while a topic is missing."""
        self.topic_ids()
        return read_topics(
            self.spark, self.settings, self._topics(), self.settings.stock_max_offsets_per_trigger
        )

    def topic_ids(self) -> Mapping[str, str]:
        """Kafka's ids. Raises ServiceError that names a topic that is gone."""
        found = {topic: self.broker.topic_id(topic) for topic in self._topics()}
        gone = [topic for topic, topic_id in found.items() if topic_id is None]
        if gone:
            raise ServiceError(_missing(self.settings, gone) + " It is looked for again and again.")
        return {topic: str(topic_id) for topic, topic_id in found.items()}

    def lost(self, number: int, rows: Iterable[Mapping[str, Any]]) -> int:
        """Offsets that expired before they were read."""
        read = Counter(row["topic"] for row in rows)
        lost = 0
        for topic in self._topics():
            span = batch_span(self.checkpoint, number, topic)
            if not is_complete(span, read[topic]):
                lost += lost_offsets(span, self.broker.earliest(topic), read[topic])
        return lost

    def waiting(self) -> int:
        """Kafka's end offsets minus what the cold store has."""
        total = 0
        for topic in self._topics():
            topic_id, earliest = self.broker.topic_id(topic), self.broker.earliest(topic)
            for partition, end in self.broker.latest(topic).items() if topic_id else ():
                done = self.archive.consumed.end((topic, str(topic_id), partition))
                total += max(0, end - max(earliest.get(partition, 0), done))
        return total

    def ping(self) -> None:
        """Raises UnavailableError when no broker answers."""
        self.broker.ping()

    def _topics(self) -> list[str]:
        return list(topics_of(self.settings).values())


def _missing(settings: Settings, topics: list[str]) -> str:
    names = " and ".join(topics)
    return (
        f"The topic {names} does not exist on Kafka at {settings.kafka_bootstrap_servers}. Create it, or "
        "correct KAFKA_TOPIC_SALES, KAFKA_TOPIC_INVENTORY and KAFKA_TOPIC_CLIENTS."
    )
