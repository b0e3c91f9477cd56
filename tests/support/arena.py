"""An esports pipeline of one test: topics and folders of its own, and what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from pyspark.sql import SparkSession

from analytics.esports.rules import DATASETS, Dataset
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from pipelines.esports.job import assemble, assemble_retry
from pipelines.esports.kafka_input import kafka_inputs
from sinks.dead_letters import RetryOutcome
from sources.kafka_broker import KafkaBroker
from tests.support.kafka_servers import JARS
from tests.support.world import KafkaTopics, Value, World


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


class Topics(KafkaTopics):
    """The two topics of one test."""

    def __init__(self, servers: str, **producer: Any) -> None:
        super().__init__(servers, ("matches", "players"), **producer)
        self.matches, self.players = self.names["matches"], self.names["players"]

    def send(
        self, topic: str, values: Sequence[Value], partition: int | None = None, key: bytes | None = b"key"
    ) -> None:
        """Produce, in turns to two partitions if none is given, and wait until the broker has all of it."""
        turns = (number % 2 if partition is None else partition for number in range(len(values)))
        self.produce(((topic, value, turn) for value, turn in zip(values, turns, strict=True)), key)


class Arena(World):
    """An esports pipeline with folders of its own on the topics."""

    name = "esports"

    def __init__(self, folder: Path, topics: Topics, spark: SparkSession | None = None, **given: Any) -> None:
        self.topics = topics
        chosen = {
            "esports_output_path": folder / "processed",
            "kafka_bootstrap_servers": topics.servers,
            "kafka_topic_matches": topics.matches,
            "kafka_topic_players": topics.players,
            "kafka_options": {},
            "kafka_connector_path": JARS,
        }
        super().__init__(folder, spark, {**chosen, **given})

    @contextmanager
    def pipeline(self, *datasets: Dataset) -> Iterator[StreamJob]:
        """A pipeline on this test's Spark, as a fresh process would build it."""
        broker = KafkaBroker(self.spark, self.topics.servers, self.settings.kafka_options)
        try:
            inputs = kafka_inputs(self.spark, self.settings, broker)
            yield assemble(self.settings, self.spark, inputs, datasets or DATASETS)
        finally:
            broker.close()

    def run(self, *datasets: Dataset) -> bool:
        """Process what is there."""
        with self.pipeline(*datasets) as pipeline:
            return pipeline.once(StopFlag())

    def retry(self) -> RetryOutcome:
        """`dlq retry`."""
        return assemble_retry(self.settings, self.spark).retry(self.letters())

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

    def assert_accounted(self, records: int) -> None:
        """What is counted as written is there, too."""
        super().assert_accounted(records)
        assert len(self.rows("matches", "1")) + len(self.rows("players", "1")) == self.total(
            "records_written"
        )
