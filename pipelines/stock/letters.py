"""The records of stock's dead letters as they were read from Kafka."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from pipelines.engine.topics import records_frame
from pipelines.stock.batch import Records
from sinks.stream_letters import RejectedRecord

# In memory at once, whatever the letters hold.
RECORDS_AT_ONCE = 20_000


def records_of_letters(
    spark: SparkSession, parse: Callable[[DataFrame], DataFrame], records: Sequence[RejectedRecord]
) -> Records:
    """What a batch of `records` reads; `parse` is the stream's."""
    rows: list[dict[str, Any]] = parse(records_frame(spark, records)).toArrow().to_pylist()
    return Records(rows)
