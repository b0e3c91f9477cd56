"""The three topics of the stock pipeline as one stream."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from analytics.stock.rules import CLIENTS, INVENTORY, SALES
from pipelines.engine.kafka_input import KafkaInput
from settings import Settings
from sinks.parquet.dataset import ParquetDataset
from sources.kafka_broker import KafkaBroker


def topics_of(settings: Settings) -> dict[str, str]:
    """The topic of each kind of record."""
    return {
        SALES: settings.kafka_topic_sales,
        INVENTORY: settings.kafka_topic_inventory,
        CLIENTS: settings.kafka_topic_clients,
    }


def open_input(
    spark: SparkSession, settings: Settings, broker: KafkaBroker, checkpoint: Path, archive: ParquetDataset
) -> KafkaInput:
    """The topics on Kafka; `checkpoint` is the query's folder, `archive` knows what was read."""

    def explain(topics: str) -> str:
        return (
            f"The topic {topics} does not exist on Kafka at {settings.kafka_bootstrap_servers}. Create it, "
            "or correct KAFKA_TOPIC_SALES, KAFKA_TOPIC_INVENTORY and KAFKA_TOPIC_CLIENTS."
        )

    topics = list(topics_of(settings).values())
    at_most = settings.stock_max_offsets_per_trigger
    return KafkaInput(spark, settings, broker, checkpoint, topics, at_most, archive.consumed.ids, explain)
