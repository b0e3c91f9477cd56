"""The ticker: rhythm, one piece at a time, a dead stream starts again."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from contracts import AccessDeniedError
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.ticker import Ticker
from retry import RetryPolicy


def test_ticks_until_stopped_and_never_two_at_once(spark: SparkSession, tmp_path: Path) -> None:
    """Work that takes longer than the interval is not started a second time meanwhile."""
    stop, running, ticks = StopFlag(), threading.Lock(), []

    def work() -> None:
        assert running.acquire(blocking=False), "two pieces of work at once"
        time.sleep(0.3)
        ticks.append(time.monotonic())
        running.release()
        if len(ticks) == 3:
            stop.set()

    Ticker(spark, tmp_path / "ticker", 0.1, work, RetryPolicy()).run(stop)
    assert len(ticks) == 3


def test_a_stream_that_dies_is_started_again(spark: SparkSession, tmp_path: Path) -> None:
    """Its files may have gone, its disk been full: the work goes on."""
    stop, calls = StopFlag(), []

    def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("not caught by the batch")
        stop.set()

    Ticker(spark, tmp_path / "ticker", 0.1, work, RetryPolicy(base_seconds=0.05)).run(stop)
    assert len(calls) == 2


def test_work_that_gives_up_ends_the_run_with_its_error(
    spark: SparkSession, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A person must mend it; the error passes as it is, and Spark prints no stack."""

    def work() -> None:
        raise AccessDeniedError("refused")

    with pytest.raises(AccessDeniedError, match="refused"):
        Ticker(spark, tmp_path / "ticker", 0.1, work, RetryPolicy()).run(StopFlag())
    assert "Traceback" not in capfd.readouterr().err


def test_an_older_checkpoint_of_the_ticker_is_thrown_away(spark: SparkSession, tmp_path: Path) -> None:
    """The rate source refuses one from the future (a clock that was set back); nothing in it is needed."""
    folder = tmp_path / "ticker"
    folder.mkdir()
    (folder / "metadata").write_text("not what Spark expects")
    stop = StopFlag()
    Ticker(spark, folder, 0.1, stop.set, RetryPolicy()).run(stop)
    assert stop()
