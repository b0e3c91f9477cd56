"""Files of JSON lines that stand in for Kafka: a folder is a topic, a line a record.

As in Kafka's own segments, the number at the end of a file's name is the offset of its first line
(`matches_20260131_120000_000000000500.jsonl` begins with the record 500). There is one partition, 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FIRST_OFFSET: Final = r"_([0-9]+)[.]jsonl$"


class JsonFiles:
    """The topics below `folder`, as far as a pipeline needs them."""

    def __init__(self, folder: Path, spark: SparkSession) -> None:
        self._folder = folder.absolute()
        self._spark = spark

    def exists(self, topic: str) -> bool:
        """Whether there is such a folder."""
        return (self._folder / topic).is_dir()

    def end(self, topic: str) -> int:
        """The offset after the last line of all files."""
        return next_offset(self._folder / topic)

    def ping(self) -> None:
        """Files are always there."""

    def close(self) -> None:
        """There is nothing to let go."""

    def read(self, topic: str) -> DataFrame:
        """A stream with the columns of Spark's Kafka source, without keys; the time is the file's."""
        from pyspark.sql import functions as F

        # Line by line Spark would not say which line of the file it is.
        files = self._spark.readStream.text(f"file://{self._folder / topic}", wholetext=True)
        first = F.regexp_extract("_metadata.file_name", _FIRST_OFFSET, 1).cast("long").alias("first")
        lines = files.select(
            first,
            F.col("_metadata.file_modification_time").alias("timestamp"),
            # Every line ends, so behind the last end there is none.
            F.posexplode(F.split(F.rtrim(F.col("value"), F.lit("\n")), "\n")).alias("line", "text"),
        )
        return lines.select(
            F.lit(None).cast("binary").alias("key"),
            F.col("text").cast("binary").alias("value"),
            F.lit(topic).alias("topic"),
            F.lit(0).alias("partition"),
            (F.col("first") + F.col("line")).alias("offset"),
            "timestamp",
        )

    def span(self, frame: DataFrame) -> dict[int, tuple[int, int]]:
        """The offsets of the batch `frame`, by partition."""
        from pyspark.sql import functions as F

        found = frame.agg(F.min("offset").alias("first"), F.max("offset").alias("last")).first()
        return {} if found is None or found["first"] is None else {0: (found["first"], found["last"] + 1)}


def next_offset(topic: Path) -> int:
    """The offset after the last line in the folder; 0 without files."""
    ends = (
        int(file.stem.rpartition("_")[2]) + file.read_bytes().count(b"\n") for file in topic.glob("*.jsonl")
    )
    return max(ends, default=0)
