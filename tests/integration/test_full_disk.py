"""A full disk for Spark's own files; what else may be full is in tests/contract/test_full_disk.py."""

from __future__ import annotations

from pyspark.sql import SparkSession

from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.ticker import Ticker
from retry import RetryPolicy
from tests.support.small_disk import SmallDisk


def test_a_full_disk_for_sparks_own_files_only_pauses_the_rhythm(
    spark: SparkSession, disk: SmallDisk
) -> None:
    """The rate stream cannot write its offsets and dies; it is started again until there is space."""
    stop, ticks = StopFlag(), []
    pauses: list[int] = []

    class Patience(RetryPolicy):
        def pause(self, failures: int) -> float:
            pauses.append(failures)
            if len(pauses) == 2:
                disk.free()
            return 0.05

    def work() -> None:
        ticks.append(1)
        # Each start throws the old files away, which frees a little.
        if len(pauses) < 2:
            disk.fill()
        else:
            stop.set()

    Ticker(spark, disk.folder / "ticker", 0.2, work, Patience()).run(stop)
    assert len(pauses) >= 2
    assert len(ticks) >= 3
