"""Starts the query of a stream, the same way for every pipeline."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from pipelines.engine.supervisor import BatchFunction


def start_query(
    name: str, frame: DataFrame, batch: BatchFunction, checkpoint: Path, interval_seconds: float, once: bool
) -> StreamingQuery:
    """Hand each micro-batch of `frame` to `batch`, every `interval_seconds`, or `once` what is there.

    `checkpoint` is the query's folder.
    """
    writer = frame.writeStream.queryName(name).foreachBatch(batch)
    writer = writer.option("checkpointLocation", address_of(checkpoint))
    if once:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{round(interval_seconds * 1000)} milliseconds").start()


def address_of(folder: Path) -> str:
    """The address of `folder` as Spark takes it: as text, in which it decodes no escapes."""
    return f"file:///{folder.absolute().as_posix().lstrip('/')}"
