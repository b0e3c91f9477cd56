"""Kafka topics as a stream of Spark, and where its batches begin and end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from settings import Settings

# Partition → offset.
Offsets = Mapping[int, int]
# Partition → (first offset, the one after the last).
Span = dict[int, tuple[int, int]]


def read_topics(spark: SparkSession, settings: Settings, topics: Sequence[str], at_most: int) -> DataFrame:
    """The columns of Spark's Kafka source, with `at_most` so many records in one batch.

    Records that expired before they were read do not stop it: who uses it tells of them.
    """
    options = {
        **{f"kafka.{name}": value for name, value in settings.kafka_options.items()},
        "kafka.bootstrap.servers": settings.kafka_bootstrap_servers,
        "subscribe": ",".join(topics),
        "startingOffsets": settings.kafka_starting_offsets,
        "maxOffsetsPerTrigger": str(at_most),
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


def is_complete(span: Span, records: int) -> bool:
    """Whether `records` are as many as the offsets of `span`: none is lost, and Kafka need not be asked."""
    offsets = [after - first for first, after in span.values()]
    return min(offsets, default=0) >= 0 and sum(offsets) == records


def lost_offsets(span: Span, earliest: Offsets, records: int) -> int:
    """How many offsets of `span`, of which `records` were read, are gone now.

    `earliest` are the first offsets that are still there. The gaps of compacted topics are none.
    """
    gone = expected = skipped = 0
    for partition, (first, after) in span.items():
        start = earliest.get(partition, 0)
        if after < first:
            # The topic was made anew, and Spark goes on from its present end.
            skipped += after - start
        else:
            expected += after - first
            gone += max(0, min(start, after) - first)
    return skipped + max(0, min(gone, expected - records))


def _read(file: Path, topic: str) -> Offsets:
    # The last line has the offsets; those before it, a version and settings of Spark's.
    found = json.loads(file.read_bytes().decode("utf-8").splitlines()[-1])
    return {int(partition): int(offset) for partition, offset in found.get(topic, {}).items()}
