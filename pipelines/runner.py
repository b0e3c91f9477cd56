"""Runs a pipeline as a Spark stream: a ticker triggers batches until a signal asks to stop."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

# Well above one row per trigger, or a tick without new rows would run no batch.
_TICKER_ROWS_PER_SECOND = 10
_WAIT_SECONDS = 1


class StopFlag:
    """Set by SIGINT or SIGTERM; a second signal takes the default course and ends the process."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Ask to stop after the current piece."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until it is set; whether it is."""
        return self._event.wait(seconds)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to signals inside the block. Enter it after Spark has started: Spark replaces SIGINT."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.getsignal(number) for number in numbers}

        def stop(number: int, _frame: Any) -> None:
            self.set()
            signal.signal(number, signal.SIG_DFL)

        for number in numbers:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class TickError(Exception):
    """What Spark is told of an error in the work: its type alone."""


class Ticker:
    """A rate stream whose only use is its rhythm: each trigger calls `work`, one call at a time."""

    def __init__(
        self, spark: SparkSession, folder: Path, interval_seconds: float, work: Callable[[], None]
    ) -> None:
        self._spark = spark
        self._folder = folder
        self._interval_seconds = interval_seconds
        self._work = work
        self._busy = threading.Lock()
        self._error: BaseException | None = None

    def run(self, stop: StopFlag) -> None:
        """Tick until `stop` is set; a running piece is finished first.

        Raises what `work` raised, or what the stream raised if the query dies of itself.
        """
        # The rate source refuses to go on after a clock set back; the pipeline's own cursor is the truth.
        shutil.rmtree(self._folder, ignore_errors=True)
        query = (
            self._spark.readStream.format("rate")
            .option("rowsPerSecond", _TICKER_ROWS_PER_SECOND)
            .load()
            .writeStream.foreachBatch(lambda _frame, _id: self._tick(_frame, stop))
            .option("checkpointLocation", self._folder.absolute().as_uri())
            .trigger(processingTime=f"{round(self._interval_seconds * 1000)} milliseconds")
            .queryName("ticker")
            .start()
        )
        try:
            while not stop() and not query.awaitTermination(_WAIT_SECONDS):
                pass
        except StreamingQueryException:
            if self._error is None:
                raise
            raise self._error from None
        stop.set()
        # query.stop() cancels a batch that is running, so wait until none is.
        with self._busy:
            query.stop()

    def _tick(self, _frame: DataFrame, stop: StopFlag) -> None:
        # Never waiting here: query.stop() waits for this function while the lock is held.
        if not self._busy.acquire(blocking=False):
            return
        try:
            if not stop():
                self._work()
        except BaseException as error:  # noqa: BLE001 - handed on by run()
            # Spark prints what it is handed, and masks nothing: a driver's error may quote a password.
            self._error = error
            raise TickError(type(error).__name__) from None
        finally:
            self._busy.release()
