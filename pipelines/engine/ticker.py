"""The rhythm of a pipeline that polls: a rate stream triggers its work, one piece at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from contracts import ServiceError
from monitoring.logs import get_logger
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_query import start_query
from pipelines.engine.supervisor import BatchFunction, BatchStream, Supervisor
from retry import RetryPolicy

logger = get_logger(__name__)

# Well above one row per trigger, or a tick without new rows would run no batch.
_ROWS_PER_SECOND = 10


@dataclass
class Ticker:
    """A rate stream whose only use is its rhythm: each trigger calls `work`, one call at a time.

    `folder` is for Spark's own files and disposable; `retry` says when a dead stream starts again.
    """

    spark: SparkSession
    folder: Path
    interval_seconds: float
    work: Callable[[], None]
    retry: RetryPolicy
    _error: ServiceError | None = None

    def run(self, stop: StopFlag) -> None:
        """Tick until `stop` is set; a running piece is finished first.

        A stream that dies of itself (Spark writes a few bytes a trigger, and disks fill up) is started again.
        Raises the ServiceError by which `work` gave up, and py4j's errors when Java ended.
        """

        def tick(_frame: DataFrame, _number: int) -> None:
            try:
                self.work()
            except ServiceError as error:
                # Raised inside, Spark would print it with the stacks of two languages.
                self._error = error
                stop.set()

        stream = BatchStream("ticker", tick, self._start, disposable=True)
        Supervisor([stream], self.retry, self._check).run(stop, once=False)
        if self._error is not None:
            raise self._error

    def _start(self, tick: BatchFunction, once: bool) -> StreamingQuery:
        # The rate source refuses to go on after a clock set back; the pipeline's own cursor is the truth.
        shutil.rmtree(self.folder, ignore_errors=True)
        rows = self.spark.readStream.format("rate").option("rowsPerSecond", _ROWS_PER_SECOND).load()
        return start_query("ticker", rows, tick, self.folder, self.interval_seconds, once)

    def _check(self, _name: str, error: BaseException) -> None:
        # When Java has ended, no start will ever help.
        if isinstance(error, Py4JError | OSError) and not isinstance(error, Py4JJavaError):
            raise error
        logger.warning(f"The stream that gives the rhythm died ({type(error).__name__})")
