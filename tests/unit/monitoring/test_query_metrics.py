"""What is measured of Spark itself: exact rows and ends of real queries, and the JVM's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from monitoring.jvm_metrics import JvmMetrics
from monitoring.metrics import Metrics
from monitoring.query_metrics import QueryMetrics, measured_queries
from tests.unit.monitoring.test_metrics import samples

FILE = "x_metrics.prom"


def start(
    spark: SparkSession, folder: Path, name: str, work: Callable[[DataFrame, int], None]
) -> StreamingQuery:
    """A query that reads the CSV files that lie in `folder`, one a trigger, and ends by itself."""
    return (
        spark.readStream.schema("number INT")
        .option("maxFilesPerTrigger", 1)
        .csv(str(folder))
        .writeStream.foreachBatch(work)
        .option("checkpointLocation", str(folder.parent / f"{folder.name}-checkpoint"))
        .trigger(availableNow=True)
        .queryName(name)
        .start()
    )


def test_rows_triggers_and_ends_of_queries(spark: SparkSession, tmp_path: Path) -> None:
    """Every row and trigger counts under its query's name; an end is stopped or failed; restarts add up."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.csv").write_text("1\n2\n3\n4\n")
    metrics = Metrics(tmp_path, "x")

    def read(frame: DataFrame, _number: int) -> None:
        frame.collect()

    def fail(_frame: DataFrame, _number: int) -> None:
        raise ValueError("a bug")

    with measured_queries(spark, QueryMetrics(metrics)):
        start(spark, folder, "good", read).awaitTermination()
        (folder / "late.csv").write_text("1\n")
        start(spark, folder, "good", read).awaitTermination()
        bad = tmp_path / "bad"
        bad.mkdir()
        (bad / "0.csv").write_text("1\n")
        with pytest.raises(StreamingQueryException):
            start(spark, bad, "bad", fail).awaitTermination()
    found = samples(tmp_path / FILE)
    assert found["x_query_input_rows_total{good}"] == 13
    assert found["x_query_trigger_duration_seconds_count{good}"] == 4
    assert found["x_query_trigger_duration_seconds_sum{good}"] > 0
    assert found["x_query_terminated_total{stopped}{good}"] == 2
    assert found["x_query_terminated_total{failed}{good}"] == 0
    assert found["x_query_terminated_total{failed}{bad}"] == 1
    assert found["x_query_terminated_total{stopped}{bad}"] == 0


def test_the_jvms_numbers(spark: SparkSession, tmp_path: Path) -> None:
    """As the JVM tells them at that moment; collections count up."""
    metrics = Metrics(tmp_path, "x")
    JvmMetrics(metrics, spark)
    metrics.write()
    before = samples(tmp_path / FILE)
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    runtime = jvm.java.lang.Runtime.getRuntime()
    assert before["x_jvm_heap_max_bytes"] == runtime.maxMemory()
    assert 10_000_000 < before["x_jvm_heap_used_bytes"] <= before["x_jvm_heap_max_bytes"]
    assert before["x_jvm_threads"] > 10
    for _ in range(3):
        jvm.java.lang.System.gc()
    metrics.write()
    assert samples(tmp_path / FILE)["x_jvm_gc_seconds_total"] > before["x_jvm_gc_seconds_total"]
