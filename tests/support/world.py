"""What the pipelines of single tests share: folders, settings, topics, and what came of a run."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewPartitions,
    NewTopic,
)
from pyspark.sql import SparkSession

from pipelines.catalog import PIPELINES
from settings import Settings, load
from sinks.dead_letters import Letter

FOLDERS = ("log_directory", "metrics_directory", "dlq_directory", "checkpoint_location")
Value = Mapping[str, Any] | str | bytes | None
_WAIT_SECONDS = 120


class World:
    """One working folder; each run is one bounded pass over what the source holds."""

    name: ClassVar[str]

    def __init__(self, folder: Path, spark: SparkSession | None, given: Mapping[str, Any]) -> None:
        self.folder = folder
        self._spark = spark
        folders = {name: folder / name for name in FOLDERS}
        self.settings: Settings = load(env_file=None, **{**folders, "health_port": 0, **given})

    @property
    def spark(self) -> SparkSession:
        """The test's Spark, for those that run in its process."""
        assert self._spark is not None
        return self._spark

    def log(self) -> list[dict[str, Any]]:
        """The batch log's lines."""
        files = sorted(self.settings.log_directory.glob(f"{self.name}_batch_logs_*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def total(self, name: str) -> int:
        """The sum of one figure over the log's batches."""
        return sum(entry[name] for entry in self.log())

    def ends(self) -> Counter[str]:
        """The ends of the records over the log's batches."""
        return sum((Counter(entry["records_by_outcome"]) for entry in self.log()), Counter())

    def rejected(self) -> Counter[str]:
        """Refusals by reason over the log's batches."""
        return sum((Counter(entry["rejected_by_reason"]) for entry in self.log()), Counter())

    def letters(self) -> list[Letter]:
        """The dead letters."""
        return PIPELINES[self.name].open_letters(self.settings).list()

    def dead_records(self) -> dict[tuple[str, int], tuple[str, Any]]:
        """Reason and raw value of each refused record, by its source and its offset or line."""
        return {
            (letter.record["source"], record.get("offset", record.get("line"))): (
                letter.reason,
                record["raw"],
            )
            for letter in self.letters()
            for record in letter.record["records"]
        }

    def assert_accounted(self, records: int) -> None:
        """Every record is in exactly one count, and each refused one is a dead letter."""
        assert self.total("records_processed") == records
        assert sum(self.ends().values()) == records
        assert len(self.dead_records()) == self.total("rejected") + self.total("corrupt")


class KafkaTopics:
    """Topics of one test by kind, with random names, gone after it; `producer` are options of the client."""

    def __init__(self, servers: str, kinds: Iterable[str], **producer: Any) -> None:
        self.servers = servers
        suffix = secrets.token_hex(4)
        self.names = {kind: f"{kind}-{suffix}" for kind in kinds}
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self._options = {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "message.max.bytes": 1_048_576,
            "log_level": 0,
            **producer,
        }
        self._producer = Producer(self._options)

    def create(self, *topics: str, partitions: int = 2, **config: str) -> None:
        """Make topics and wait until they are there."""
        new = [NewTopic(topic, partitions, 1, config=config) for topic in topics]
        for made in self._admin.create_topics(new).values():
            made.result(_WAIT_SECONDS)

    def grow(self, topic: str, partitions: int) -> None:
        """Let it have this number of partitions from now on."""
        self._admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(_WAIT_SECONDS)
        # The old one would learn of it only after minutes.
        self._producer = Producer(self._options)

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Delete the records before this offset, as Kafka's retention does."""
        where = TopicPartition(topic, partition, before)
        self._admin.delete_records([where])[where].result(_WAIT_SECONDS)

    def produce(self, records: Iterable[tuple[str, Value, int]], key: bytes | None = None) -> None:
        """Produce (topic, value, partition) and wait until the broker has all of it."""
        for topic, value, partition in records:
            self._producer.produce(topic, encode(value), key, partition=partition)
            self._producer.poll(0)
        assert self._producer.flush(_WAIT_SECONDS) == 0

    def remove(self) -> None:
        """Delete the topics."""
        for future in self._admin.delete_topics(list(self.names.values())).values():
            future.exception(_WAIT_SECONDS)


def encode(value: Value) -> bytes | None:
    """As it goes into a topic."""
    if value is None or isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()
