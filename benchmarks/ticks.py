"""Measures a trigger that finds nothing against one that does nothing: the stream's floor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from pyspark.sql import SparkSession

from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.ticker import Ticker
from retry import RetryPolicy

_INTERVAL_SECONDS = 0.25
_WARM_UP_TICKS = 10
# Spark remembers the progress of the last 100 triggers.
_TICKS = 80


def idle_and_floor(spark: SparkSession, folder: Path, poll: Callable[[], object]) -> tuple[float, float]:
    """Median milliseconds of a trigger whose work is `poll`, and of one without work, in one stream."""
    stop = StopFlag()
    queries: list[Any] = []
    count = 0

    def tick() -> None:
        nonlocal count
        if count % 2:
            poll()
        if not queries:
            queries.extend(spark.streams.active)
        count += 1
        if count == _WARM_UP_TICKS + _TICKS:
            stop.set()

    Ticker(spark, folder, _INTERVAL_SECONDS, tick, RetryPolicy()).run(stop)
    # A trigger without new rows of the ticker runs no batch.
    durations = [progress["durationMs"] for progress in queries[0].recentProgress]
    triggers = [steps["triggerExecution"] for steps in durations if "addBatch" in steps]
    return median(triggers[_WARM_UP_TICKS + 1 :: 2]), median(triggers[_WARM_UP_TICKS::2])
