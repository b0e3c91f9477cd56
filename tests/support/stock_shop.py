"""A stock pipeline of one test: topics, folders and a database of its own, and what came of them."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from pymongo.database import Database
from pyspark.sql import SparkSession

from analytics.stock.rules import CLIENTS, INVENTORY, SALES
from pipelines.catalog import PIPELINES
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from pipelines.stock.job import assemble, assemble_retry, open_archive, open_database
from pipelines.stock.kafka_input import open_input
from settings import Settings, load
from sinks.dead_letters import Letter, RetryOutcome
from sources.kafka_broker import KafkaBroker
from sources.stock.published_ranking import read_published
from tests.support.kafka_servers import JARS
from tests.support.stock_events import kind_of

Value = Mapping[str, Any] | str | bytes | None
_WAIT_SECONDS = 120


class StockTopics:
    """The three topics of one test, gone after it."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        suffix = secrets.token_hex(4)
        self.names = {kind: f"{kind}-{suffix}" for kind in (SALES, INVENTORY, CLIENTS)}
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self._producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "log_level": 0})
        new = [NewTopic(name, 2, 1) for name in self.names.values()]
        for future in self._admin.create_topics(new).values():
            future.result(_WAIT_SECONDS)

    def environment(self, database: str) -> dict[str, str]:
        """What a stock command must be told to read these topics into `database`."""
        return {
            "STOCK_DB_NAME": database,
            "KAFKA_BOOTSTRAP_SERVERS": self.servers,
            **{f"KAFKA_TOPIC_{kind.upper()}": name for kind, name in self.names.items()},
            "KAFKA_CONNECTOR_PATH": str(JARS),
        }

    def send(self, *values: Value, kind: str | None = None, partition: int = 0) -> None:
        """Produce and wait until the broker has all of it; events go to the topic of their kind."""
        for value in values:
            topic = self.names[kind or kind_of(value if isinstance(value, Mapping) else {})]
            data = json.dumps(value).encode() if isinstance(value, Mapping) else value
            self._producer.produce(topic, data, partition=partition)
            self._producer.poll(0)
        assert self._producer.flush(_WAIT_SECONDS) == 0

    def expire(self, kind: str, before: int, partition: int = 0) -> None:
        """Delete the records before offset `before` of one partition, as Kafka's retention does."""
        place = TopicPartition(self.names[kind], partition, before)
        for future in self._admin.delete_records([place]).values():
            future.result(_WAIT_SECONDS)

    def remove(self) -> None:
        """Delete the topics."""
        for future in self._admin.delete_topics(list(self.names.values())).values():
            future.exception(_WAIT_SECONDS)


class StockShop:
    """One working folder; each run is one bounded pass over what the topics hold."""

    def __init__(
        self,
        folder: Path,
        topics: StockTopics,
        mongo_uri: str,
        database: Database[dict[str, Any]],
        spark: SparkSession | None = None,
        **given: Any,
    ) -> None:
        self.folder = folder
        self.topics = topics
        self.database = database
        self.mongo_uri = mongo_uri
        self._spark = spark
        names = ("log_directory", "metrics_directory", "dlq_directory", "checkpoint_location")
        chosen: dict[str, Any] = {name: folder / name for name in names}
        chosen |= {
            "mongo_uri": mongo_uri,
            "stock_db_name": database.name,
            "stock_cold_path": folder / "cold",
            "stock_interval_seconds": 1,
            "kafka_bootstrap_servers": topics.servers,
            "kafka_topic_sales": topics.names[SALES],
            "kafka_topic_inventory": topics.names[INVENTORY],
            "kafka_topic_clients": topics.names[CLIENTS],
            "kafka_connector_path": JARS,
            "health_port": 0,
        }
        self.settings: Settings = load(env_file=None, **{**chosen, **given})

    def pipeline(self) -> StreamJob:
        """A pipeline on this test's Spark, as a fresh process would build it."""
        assert self._spark is not None
        settings = self.settings
        broker = KafkaBroker(self._spark, settings.kafka_bootstrap_servers, settings.kafka_options)
        archive = open_archive(settings)
        checkpoint = settings.checkpoint_location / "stock" / "events"
        source = open_input(self._spark, settings, broker, checkpoint, archive)
        return assemble(settings, self._spark, open_database(settings), source, archive)

    def run(self) -> bool:
        """Process what is there."""
        return self.pipeline().once(StopFlag())

    def retry(self) -> RetryOutcome:
        """`dlq retry`."""
        assert self._spark is not None
        return assemble_retry(self.settings, self._spark, open_database(self.settings)).retry(self.letters())

    def winners(self) -> list[tuple[str, str]]:
        """Id and profit of the products that are shown as winners, best first."""
        rows = read_published(self.database, "product_winners")
        return [(row["product_id"], str(row["total_profit"])) for row in rows]

    def risks(self) -> dict[str, list[str]]:
        """The reasons by product that are shown as a risk."""
        return {
            row["product_id"]: row["reasons"] for row in read_published(self.database, "loss_risk_products")
        }

    def revenue(self) -> dict[str, str]:
        """Each client's revenue."""
        return {c["client_id"]: str(c["total_revenue_generated"]) for c in self.database["clients"].find()}

    def cold(self) -> list[tuple[str, str, int, int, bytes]]:
        """What the cold store holds: kind, topic, partition, offset, value."""
        files = f"{self.settings.stock_cold_path}/events/**/*.parquet"
        found = duckdb.sql(
            "SELECT kind, kafka_topic, kafka_partition, kafka_offset, value FROM "
            f"read_parquet('{files}', hive_partitioning=true) ORDER BY ALL"
        )
        assert found is not None
        return found.fetchall()

    def log(self) -> list[dict[str, Any]]:
        """The batch log's lines."""
        files = sorted(self.settings.log_directory.glob("stock_batch_logs_*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def counts(self) -> dict[str, int]:
        """What became of the records, over all batches that were reported."""
        names = ("records_processed", "records_written", "duplicates", "rejected", "corrupt")
        return {name: sum(entry[name] for entry in self.log()) for name in names}

    def ends(self) -> Counter[str]:
        """The ends of the records over the log's batches."""
        return sum((Counter(entry["records_by_outcome"]) for entry in self.log()), Counter())

    def rejected(self) -> Counter[str]:
        """Refusals by reason over the log's batches."""
        found: Counter[str] = Counter()
        for entry in self.log():
            found.update(entry.get("rejected_by_reason", {}))
        return found

    def letters(self) -> Sequence[Letter]:
        """The dead letters."""
        return PIPELINES["stock"].open_letters(self.settings).list()

    def dead_records(self) -> dict[tuple[str, int], str]:
        """The reason of each refused record, by topic/partition and offset."""
        return {
            (letter.record["source"], record["offset"]): letter.reason
            for letter in self.letters()
            for record in letter.record["records"]
        }

    def assert_accounted(self, records: int) -> None:
        """Every record is in exactly one count; refused ones are dead letters; all are in the cold store."""
        counts = self.counts()
        assert counts["records_processed"] == records
        assert sum(self.ends().values()) == records
        assert len(self.dead_records()) == counts["rejected"] + counts["corrupt"]
        assert len(self.cold()) == records
