"""A Kafka topic as a stream of Spark, and where its batches begin and end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from settings import Settings

# Partition → offset.
Offsets = Mapping[int, int]
# Partition → (first offset, the one after the last).
Span = dict[int, tuple[int, int]]


def read_topic(spark: SparkSession, settings: Settings, topic: str) -> DataFrame:
    """The columns of Spark's Kafka source; at most KAFKA_MAX_OFFSETS_PER_TRIGGER records in one batch.

    Records that expired before they were read do not stop it: who uses it tells of them.
    """
    options = {
        **{f"kafka.{name}": value for name, value in settings.kafka_options.items()},
        "kafka.bootstrap.servers": settings.kafka_bootstrap_servers,
        "subscribe": topic,
        "startingOffsets": settings.kafka_starting_offsets,
        "maxOffsetsPerTrigger": str(settings.kafka_max_offsets_per_trigger),
        "failOnDataLoss": "false",
    }
    return spark.readStream.format("kafka").options(**options).load()


def batch_span(checkpoint: Path, number: int, topic: str) -> Span:
    """Which offsets the batch `number` reads, from Spark's own log in `checkpoint`.

    A partition that is new in this batch begins at 0.
    """
    last = _read(checkpoint / "offsets" / str(number), topic)
    before = checkpoint / "sources" / "0" / "0" if number == 0 else checkpoint / "offsets" / str(number - 1)
    first = _read(before, topic)
    return {
        partition: (first.get(partition, 0), offset)
        for partition, offset in last.items()
        if offset != first.get(partition, 0)
    }


def _read(file: Path, topic: str) -> Offsets:
    # The last line has the offsets; those before it, a version and settings of Spark's.
    found = json.loads(file.read_bytes().decode("utf-8").splitlines()[-1])
    return {int(partition): int(offset) for partition, offset in found.get(topic, {}).items()}
