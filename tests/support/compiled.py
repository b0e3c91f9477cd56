"""What Java compiles for Spark: generated code that a batch needs and the batches before it did not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession


def assert_later_batches_need_no_code(spark: SparkSession, batch: Callable[[int], None]) -> None:
    """A time or a number in the generated code has Java compile it for each batch: minutes, not seconds.

    `batch` brings and takes a batch, like the others but for its number.
    """
    compiled = 0
    for number in range(3):
        before = compiled
        batch(number)
        compiled = _compiled_classes(spark)
    assert compiled == before


def _compiled_classes(spark: SparkSession) -> int:
    """How many classes Spark has generated and compiled so far, in this process."""
    jvm: Any = spark._jvm
    metrics = jvm.org.apache.spark.metrics.source.CodegenMetrics
    return int(metrics.METRIC_COMPILATION_TIME().getCount())
