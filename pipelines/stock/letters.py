"""The records of stock's dead letters as they were read from Kafka."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from pipelines.stock.batch import Records
from sinks.stream_letters import RejectedRecord
from sources.kafka_direct import records_table

# In memory at once, whatever the letters hold.
RECORDS_AT_ONCE = 20_000


def records_of_letters(
    spark: SparkSession, parse: Callable[[DataFrame], DataFrame], records: Sequence[RejectedRecord]
) -> Records:
    """What a batch of `records` reads; `parse` is the stream's."""
    places = [record.source.rpartition("/") for record in records]
    columns: dict[str, list[Any]] = {
        "key": [record.key for record in records],
        "value": [record.raw for record in records],
        "topic": [topic for topic, _, _ in places],
        "partition": [int(partition) for _, _, partition in places],
        "offset": [record.position for record in records],
        "timestamp_ms": [record.timestamp_ms for record in records],
    }
    frame = spark.createDataFrame(records_table(columns))
    rows: list[dict[str, Any]] = parse(frame).toArrow().to_pylist()
    return Records(rows)
