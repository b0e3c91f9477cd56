"""The stop flag and the ticker: rhythm, one piece at a time, and a running piece is finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipelines.runner import StopFlag, Ticker, TickError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_only_sets_the_flag_and_handlers_come_back(number: signal.Signals) -> None:
    """A piece of work goes on; after the block the process behaves as before."""
    before = signal.getsignal(number)
    stop = StopFlag()
    with stop.on_signals():
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_the_process() -> None:
    """Somebody who presses Ctrl+C twice does not want to wait."""
    code = (
        "import os, signal\nfrom pipelines.runner import StopFlag\n"
        "with StopFlag().on_signals():\n    for _ in range(2): os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGTERM
    assert "still here" not in run.stdout


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

    Ticker(spark, tmp_path / "ticker", 0.1, work).run(stop)
    assert len(ticks) == 3


def test_a_running_piece_is_finished(spark: SparkSession, tmp_path: Path) -> None:
    """Stopping the query would cancel its Spark jobs, so the ticker waits."""
    stop, done = StopFlag(), []

    def work() -> None:
        stop.set()
        time.sleep(1.5)
        done.append(spark.range(10).count())

    Ticker(spark, tmp_path / "ticker", 0.1, work).run(stop)
    assert done == [10]


def test_a_stream_that_dies_is_not_taken_for_a_stop(spark: SparkSession, tmp_path: Path) -> None:
    """What escapes the work ends the run with an error."""

    def work() -> None:
        raise ValueError("not caught by the batch")

    with pytest.raises(ValueError, match="not caught by the batch"):
        Ticker(spark, tmp_path / "ticker", 0.1, work).run(StopFlag())


def test_spark_is_not_told_what_an_error_says(spark: SparkSession, tmp_path: Path) -> None:
    """It prints the text that it gets, its causes too, and the error of a driver may quote a password."""

    def work() -> None:
        raise ValueError("mongodb://app:c4nary@host refused")

    with pytest.raises(TickError) as caught:
        Ticker(spark, tmp_path, 0.1, work)._tick(spark.range(1), StopFlag())
    told = "".join(traceback.format_exception(caught.value))
    assert "ValueError" in told
    assert "c4nary" not in told


def test_an_older_checkpoint_of_the_ticker_is_thrown_away(spark: SparkSession, tmp_path: Path) -> None:
    """The rate source refuses one from the future (a clock that was set back); nothing in it is needed."""
    folder = tmp_path / "ticker"
    folder.mkdir()
    (folder / "metadata").write_text("not what Spark expects")
    stop = StopFlag()
    Ticker(spark, folder, 0.1, stop.set).run(stop)
    assert stop()
