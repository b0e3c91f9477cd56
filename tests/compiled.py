"""What Java compiles for Spark: generated code that a batch needs and the batches before it did not."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession


def compiled_classes(spark: SparkSession) -> int:
    """How many classes Spark has generated and compiled so far, in this process."""
    jvm: Any = spark._jvm
    metrics = jvm.org.apache.spark.metrics.source.CodegenMetrics
    return int(metrics.METRIC_COMPILATION_TIME().getCount())
