"""Starts the query of a stream, the same way for every pipeline."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from pipelines.engine.supervisor import BatchFunction


def start_query(
    name: str, frame: DataFrame, batch: BatchFunction, checkpoint: str, interval_seconds: float, once: bool
) -> StreamingQuery:
    """Hand each micro-batch of `frame` to `batch`, every `interval_seconds`, or `once` what is there.

    `checkpoint` is the address of the query's folder, as Spark takes it.
    """
    writer = frame.writeStream.queryName(name).foreachBatch(batch).option("checkpointLocation", checkpoint)
    if once:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{round(interval_seconds * 1000)} milliseconds").start()
