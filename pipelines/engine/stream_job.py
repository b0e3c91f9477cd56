"""The run of a pipeline that reads streams: its queries, what is done beside them, and the summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from contracts import ConfigurationError
from monitoring.jvm_metrics import JvmMetrics
from monitoring.logs import get_logger
from monitoring.progress_bar import progress
from monitoring.query_metrics import QueryMetrics, measured_queries
from pipelines.engine.executors import work_sign
from pipelines.engine.query_watch import QueryWatch
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_batch import StreamBatch
from pipelines.engine.stream_query import QueryFolder, start_query
from pipelines.engine.supervisor import BatchFunction, BatchStream, Supervisor
from retry import RetryPolicy

logger = get_logger(__name__)


class Companion(Protocol):
    """Work beside the batches; every method is called by the thread that runs the job."""

    def start(self, stop: StopFlag) -> None:
        """Before the first batch. What it raises ends the job."""
        ...

    def look(self, at_once: bool = False) -> None:
        """Again and again: do what is due, or, `at_once` after the last batch of a bounded run, all of it."""
        ...

    def end(self) -> None:
        """After the last batch, whatever ended the run."""
        ...


@dataclass(frozen=True)
class Stream:
    """One query: the frame that it reads, what takes its batches, and the folder of its checkpoint.

    `missing` is a sentence about what is not there to be read, None when all is. `beginning` are the files of
    a checkpoint that is begun anew because it was damaged.
    """

    batch: StreamBatch[Any, Any]
    frame: Callable[[], DataFrame]
    checkpoint: Path
    missing: Callable[[], str | None] = lambda: None
    beginning: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class StreamJob:
    """Everything a run needs, built and connected. `pings` are what the readiness probe asks, by name.

    `reads` says for a person what is read.
    """

    spark: SparkSession
    streams: Sequence[Stream]
    reporting: StreamReporting
    retry: RetryPolicy
    interval_seconds: float
    reads: str
    watch: QueryWatch
    pings: Mapping[str, Callable[[], object]]
    companions: Sequence[Companion] = field(default=())
    on_idle: Callable[[], None] = lambda: None
    queries: QueryMetrics = field(init=False)
    _folders: dict[str, QueryFolder] = field(init=False)

    def __post_init__(self) -> None:
        # Once: a demo runs the stream, and then what is left.
        object.__setattr__(self, "queries", QueryMetrics(self.reporting.metrics))
        JvmMetrics(self.reporting.metrics, self.spark)
        folders = {
            one.batch.stream: QueryFolder(one.batch.stream, one.checkpoint, one.beginning)
            for one in self.streams
        }
        object.__setattr__(self, "_folders", folders)

    def once(self, stop: StopFlag) -> bool:
        """Process what is there now; False when a batch failed again and again.

        Raises ConfigurationError when what is to be read does not exist.
        """
        missing = [sentence for stream in self.streams if (sentence := stream.missing())]
        if missing:
            raise ConfigurationError(" ".join(missing))
        return self._run(stop, once=True)

    def stream(self, stop: StopFlag) -> bool:
        """Process records as they come until `stop`; True, because failed batches come again."""
        logger.info(f"🔄 Reading {self.reads} every {self.interval_seconds:g} seconds; press Ctrl+C to stop")
        self.reporting.state.watch(work_sign(self.spark))
        pings = {**self.pings, **self.watch.pings()}
        with self.reporting.serving(pings), progress(self.reporting.first_batch):
            return self._run(stop, once=False)

    def finish(self, out: Callable[[str], None]) -> None:
        """Print the session summary and export the batch history."""
        self.reporting.finish(out)

    def _run(self, stop: StopFlag, once: bool) -> bool:
        streams = [
            BatchStream(stream.batch.stream, stream.batch.until(stop).process, partial(self._start, stream))
            for stream in self.streams
        ]
        supervisor = Supervisor(streams, self.retry, self._failed, self._idle, self._look)
        with ExitStack() as ends:
            for companion in self.companions:
                ends.callback(companion.end)
                companion.start(stop)
            with measured_queries(self.spark, self.queries):
                done = supervisor.run(stop, once)
            for companion in self.companions:
                companion.look(at_once=once)
        return done

    def _start(self, stream: Stream, batch: BatchFunction, once: bool) -> StreamingQuery:
        self._folders[stream.batch.stream].prepare()
        return start_query(
            stream.batch.stream, stream.frame(), batch, stream.checkpoint, self.interval_seconds, once
        )

    def _look(self, stream: str, query: StreamingQuery) -> None:
        self.watch.look(stream, query)
        self._folders[stream].look()
        for companion in self.companions:
            companion.look()

    def _idle(self, stream: str) -> None:
        self.on_idle()
        self.reporting.idle(stream)

    def _failed(self, stream: str, error: BaseException) -> None:
        self.watch.dead(stream)
        self.reporting.failed(stream, error)
