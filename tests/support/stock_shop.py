"""A stock pipeline of one test: topics, folders and a database of its own, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
from pymongo.database import Database
from pyspark.sql import SparkSession

from analytics.stock.rules import CLIENTS, INVENTORY, SALES
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from pipelines.stock.job import assemble, assemble_retry, open_archive, open_database
from pipelines.stock.kafka_input import open_input
from sinks.dead_letters import RetryOutcome
from sources.kafka_broker import KafkaBroker
from sources.stock.published_ranking import read_published
from tests.support.kafka_servers import JARS
from tests.support.stock_events import kind_of
from tests.support.world import KafkaTopics, Value, World


class StockTopics(KafkaTopics):
    """The three topics of one test."""

    def __init__(self, servers: str, partitions: int = 2) -> None:
        super().__init__(servers, (SALES, INVENTORY, CLIENTS))
        self.create(*self.names.values(), partitions=partitions)

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
        self.produce(
            (self.names[kind or kind_of(value if isinstance(value, Mapping) else {})], value, partition)
            for value in values
        )


class StockShop(World):
    """A stock pipeline with folders and a database of its own on the topics."""

    name = "stock"

    def __init__(
        self,
        folder: Path,
        topics: StockTopics,
        mongo_uri: str,
        database: Database[dict[str, Any]],
        spark: SparkSession | None = None,
        **given: Any,
    ) -> None:
        self.topics = topics
        self.database = database
        self.mongo_uri = mongo_uri
        chosen = {
            "mongo_uri": mongo_uri,
            "stock_db_name": database.name,
            "stock_cold_path": folder / "cold",
            "stock_interval_seconds": 1,
            "kafka_bootstrap_servers": topics.servers,
            "kafka_topic_sales": topics.names[SALES],
            "kafka_topic_inventory": topics.names[INVENTORY],
            "kafka_topic_clients": topics.names[CLIENTS],
            "kafka_connector_path": JARS,
        }
        super().__init__(folder, spark, {**chosen, **given})

    def pipeline(self) -> StreamJob:
        """A pipeline on this test's Spark, as a fresh process would build it."""
        settings = self.settings
        broker = KafkaBroker(self.spark, settings.kafka_bootstrap_servers, settings.kafka_options)
        archive = open_archive(settings)
        checkpoint = settings.checkpoint_location / "stock" / "events"
        source = open_input(self.spark, settings, broker, checkpoint, archive)
        return assemble(settings, self.spark, open_database(settings), source, archive)

    def run(self) -> bool:
        """Process what is there."""
        return self.pipeline().once(StopFlag())

    def retry(self) -> RetryOutcome:
        """`dlq retry`."""
        return assemble_retry(self.settings, open_database(self.settings)).retry(self.letters())

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

    def assert_accounted(self, records: int) -> None:
        """All records are in the cold store, too."""
        super().assert_accounted(records)
        assert len(self.cold()) == records
