"""An esports pipeline of one test: topics and folders of its own, and what came of them."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewPartitions,
    NewTopic,
)
from pyspark.sql import SparkSession

from analytics.esports.rules import DATASETS, Dataset
from pipelines.catalog import PIPELINES
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from pipelines.esports.feed import kafka_feed
from pipelines.esports.job import assemble, assemble_retry
from settings import Settings, load
from sinks.dead_letters import Letter, RetryOutcome
from tests.support.kafka_servers import JARS

Value = Mapping[str, Any] | str | bytes | None
_WAIT_SECONDS = 120


def match(number: int, **changes: Any) -> dict[str, Any]:
    """A valid match."""
    return {
        "match_id": f"M{number}",
        "tournament_name": "Worlds",
        "team_1_kills": number % 30,
        "status": ("finished", "live", "scheduled")[number % 3],
        "started_at": "2026-01-01T12:00:00Z",
        "ingestion_timestamp": 1_767_268_800_000 + number,
        **changes,
    }


def player(number: int, **changes: Any) -> dict[str, Any]:
    """A valid player."""
    role = ("top", "jungle", "mid", "bottom", "support")[number % 5]
    return {
        "player_id": f"P{number}",
        "role": role,
        "active": number % 2 == 0,
        "win_rate": 0.5,
        "total_games": number,
        **changes,
    }


def encode(value: Value) -> bytes | None:
    """As it goes into a topic."""
    if value is None or isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode()


class Topics:
    """The topics of one test, gone after it."""

    def __init__(self, servers: str, **producer: Any) -> None:
        self.servers = servers
        suffix = secrets.token_hex(4)
        self.matches, self.players = f"matches-{suffix}", f"players-{suffix}"
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self._options = {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "message.max.bytes": 1_048_576,
            "log_level": 0,
            **producer,
        }
        self._producer = Producer(self._options)

    def create(self, topic: str, **config: str) -> None:
        """Make a topic and wait until it is there."""
        made = self._admin.create_topics([NewTopic(topic, 2, 1, config=config)])
        made[topic].result(_WAIT_SECONDS)

    def grow(self, topic: str, partitions: int) -> None:
        """Let it have so many partitions from now on."""
        self._admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(_WAIT_SECONDS)
        # The old one would learn of it only after minutes.
        self._producer = Producer(self._options)

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Delete the records before this offset."""
        where = TopicPartition(topic, partition, before)
        self._admin.delete_records([where])[where].result(_WAIT_SECONDS)

    def send(
        self, topic: str, values: Sequence[Value], partition: int | None = None, key: bytes | None = b"key"
    ) -> None:
        """Produce and wait until the broker has all of it; in turns to two partitions if none is given."""
        for number, value in enumerate(values):
            where = number % 2 if partition is None else partition
            self._producer.produce(topic, encode(value), key, partition=where)
            self._producer.poll(0)
        left = self._producer.flush(_WAIT_SECONDS)
        assert left == 0

    def remove(self) -> None:
        """Delete the topics."""
        for future in self._admin.delete_topics([self.matches, self.players]).values():
            future.exception(_WAIT_SECONDS)


class Arena:
    """One working folder on the topics; each run is one bounded pass over what they hold."""

    def __init__(self, folder: Path, topics: Topics, spark: SparkSession | None = None, **given: Any) -> None:
        self.folder = folder
        self.topics = topics
        self._spark = spark
        names = ("log_directory", "metrics_directory", "dlq_directory", "checkpoint_location")
        chosen: dict[str, Any] = {name: folder / name for name in names}
        chosen |= {
            "esports_output_path": folder / "processed",
            "kafka_bootstrap_servers": topics.servers,
            "kafka_topic_matches": topics.matches,
            "kafka_topic_players": topics.players,
            "kafka_options": {},
            "kafka_connector_path": JARS,
            "health_port": 0,
        }
        self.settings: Settings = load(env_file=None, **{**chosen, **given})

    @contextmanager
    def pipeline(self, *datasets: Dataset) -> Iterator[StreamJob]:
        """A pipeline on this test's Spark, as a fresh process would build it."""
        assert self._spark is not None
        feed = kafka_feed(self.settings, self._spark)
        try:
            yield assemble(self.settings, self._spark, feed, datasets or DATASETS)
        finally:
            feed.broker.close()

    def run(self, *datasets: Dataset) -> bool:
        """Process what is there."""
        with self.pipeline(*datasets) as pipeline:
            return pipeline.once(StopFlag())

    def retry(self) -> RetryOutcome:
        """`dlq retry`."""
        assert self._spark is not None
        return assemble_retry(self.settings, self._spark).retry(self.letters())

    def rows(self, dataset: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """What duckdb reads, in the order of the records."""
        files = f"{self.settings.esports_output_path}/{dataset}/**/*.parquet"
        if not list(self.settings.esports_output_path.glob(f"{dataset}/**/*.parquet")):
            return []
        with duckdb.connect() as connection:
            return connection.execute(
                f"SELECT {columns} FROM read_parquet('{files}', hive_partitioning=true, union_by_name=true)"
                " ORDER BY kafka_topic, kafka_partition, kafka_offset"
            ).fetchall()

    def ids(self, dataset: str) -> list[str]:
        """The keys of all rows, sorted, as often as they are there."""
        return sorted(
            key for (key,) in self.rows(dataset, "match_id" if dataset == "matches" else "player_id")
        )

    def log(self) -> list[dict[str, Any]]:
        """The batch log's lines."""
        files = sorted(self.settings.log_directory.glob("esports_batch_logs_*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def total(self, name: str) -> int:
        """The sum of one figure over the log's batches."""
        return sum(entry[name] for entry in self.log())

    def rejected(self) -> Counter[str]:
        """Refusals by reason over the log's batches."""
        found: Counter[str] = Counter()
        for entry in self.log():
            found.update(entry["rejected_by_reason"])
        return found

    def letters(self) -> list[Letter]:
        """The dead letters."""
        return PIPELINES["esports"].open_letters(self.settings).list()

    def dead_records(self) -> dict[tuple[str, int], tuple[str, Any]]:
        """Reason and raw value of each refused record, by topic/partition and offset."""
        return {
            (letter.record["source"], record["offset"]): (letter.reason, record["raw"])
            for letter in self.letters()
            for record in letter.record["records"]
        }

    def assert_accounted(self, records: int) -> None:
        """Every record is in exactly one count, and what is counted is there."""
        assert self.total("records_processed") == records
        assert sum(sum(entry["records_by_outcome"].values()) for entry in self.log()) == records
        rows = len(self.rows("matches", "1")) + len(self.rows("players", "1"))
        assert rows == self.total("records_written")
        assert len(self.dead_records()) == self.total("rejected") + self.total("corrupt")
