"""What the systems that read a topic of Kafka have in common."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from tests.contract.systems.system import System
from tests.support.odd_kafka import made_anew
from tests.support.world import KafkaTopics


class OnKafka(System):
    """Its records are those of `topic`, one of `all_topics`."""

    reads_kafka = True

    def __init__(self, folder: Path, spark: SparkSession, all_topics: KafkaTopics, topic: str) -> None:
        super().__init__(folder, spark)
        self.all_topics, self.topic = all_topics, topic
        # How often the topic was made.
        self.made = 1

    def make_source_anew(self) -> None:
        made_anew(self.all_topics.servers, self.topic)
        self.made += 1
