"""The topics of the esports pipeline, each a stream of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import SparkSession

from analytics.esports.rules import MATCHES, PLAYERS, Dataset
from pipelines.engine.kafka_input import KafkaInput
from pipelines.engine.topics import TopicInput
from pipelines.esports.store import Store
from settings import Settings
from sources.kafka_broker import KafkaBroker

# A topic, the folder of its query's checkpoint, and the dataset that it becomes → the query's input.
OpenInput = Callable[[str, Path, Store], TopicInput]


def topic_of(settings: Settings, dataset: Dataset) -> str:
    """The topic that becomes `dataset`."""
    topics = {MATCHES.name: settings.kafka_topic_matches, PLAYERS.name: settings.kafka_topic_players}
    return topics[dataset.name]


def kafka_inputs(spark: SparkSession, settings: Settings, broker: KafkaBroker) -> OpenInput:
    """What opens a topic on Kafka."""

    def explain(topic: str) -> str:
        return (
            f"The topic {topic} does not exist on Kafka at {settings.kafka_bootstrap_servers}. Create it, or "
            "correct KAFKA_TOPIC_MATCHES or KAFKA_TOPIC_PLAYERS."
        )

    def open_input(topic: str, checkpoint: Path, store: Store) -> TopicInput:
        at_most = settings.kafka_max_offsets_per_trigger
        return KafkaInput(spark, settings, broker, checkpoint, [topic], at_most, store.consumed.ids, explain)

    return open_input
