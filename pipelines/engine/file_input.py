"""Files of JSON lines (simulation/json_files.py) as the input of a query, in the demos in place of Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines.engine.topics import Reading
from sources.kafka_stream import usable

_TOPIC, _FIRST_OFFSET = "([^/]+)/[^/]+$", "_([0-9]+)[.]jsonl$"


@dataclass(frozen=True)
class FileInput:
    """`topics` as folders below `folder`. A topic's id is its name; nothing of it expires."""

    spark: SparkSession
    folder: Path
    topics: Sequence[str]

    def missing(self) -> str | None:
        """A folder is always there."""
        return None

    def frame(self) -> DataFrame:
        """A stream with the columns of Spark's Kafka source, without keys; the time is the file's."""
        # Line by line Spark would not say which line of the file it is.
        path = f"file://{self.folder.absolute()}/{{{','.join(self.topics)}}}"
        lines = self.spark.readStream.text(path, wholetext=True).select(
            F.col("_metadata").alias("file"),
            # Every line ends, so behind the last end there is none.
            F.posexplode(F.split(F.rtrim(F.col("value"), F.lit("\n")), "\n")).alias("line", "text"),
        )
        offset = F.regexp_extract("file.file_name", _FIRST_OFFSET, 1).cast("long") + F.col("line")
        return lines.select(
            F.lit(None).cast("binary").alias("key"),
            F.col("text").cast("binary").alias("value"),
            F.regexp_extract("file.file_path", _TOPIC, 1).alias("topic"),
            F.lit(0).alias("partition"),
            offset.alias("offset"),
            F.col("file.file_modification_time").alias("timestamp"),
        )

    def open(self, frame: DataFrame, _number: int) -> Reading:
        """The batch, and its offsets as the records have them."""
        ends = frame.groupBy("topic").agg(F.min("offset").alias("first"), F.max("offset").alias("last"))
        span = {(row["topic"], 0): (row["first"], row["last"] + 1) for row in ends.collect()}
        return Reading(span, {topic: topic for topic in self.topics}, usable(frame))

    def fewer(self, _records: int) -> None:
        """A file is never divided."""

    def verify(self, _reading: Reading) -> None:
        """Files stay what they are."""

    def lost(self, _reading: Reading, _records: int, _read_expired: int) -> int:
        """Files do not expire."""
        return 0

    def waiting(self) -> int:
        """Files are taken as they come."""
        return 0

    def ping(self) -> None:
        """A folder always answers."""
