"""The rows of a frame on the driver, a partition at a time."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import DataFrame, Row


def local_rows(frame: DataFrame) -> Iterator[Row]:
    """Returns the rows of `frame`, in its partitions' order; the next partition is computed meanwhile.

    By its RDD: Spark 4.2.1 never forgets the jobs of `DataFrame.toLocalIterator`, their plans and broadcasts.
    """
    return frame.rdd.toLocalIterator(prefetchPartitions=True)
