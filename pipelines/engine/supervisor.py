"""Keeps the streams of a pipeline running: one that dies is restarted with back-off, the others go on.

Spark marks a micro-batch as done when its function returns, so a batch that failed, or that came while its
stream was being stopped, must raise; it comes again, with the same number, at the next start.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from py4j.protocol import Py4JJavaError
from pyspark import SparkContext
from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from contracts import AlreadyRunningError, ConfigurationError, ServiceError
from executor_wait import explained
from monitoring.logs import get_logger
from pipelines.engine.set_back import SetBack
from pipelines.engine.stop_flag import StopFlag
from retry import RetryPolicy

logger = get_logger(__name__)

BatchFunction = Callable[[DataFrame, int], None]
_WAIT_SECONDS = 0.5
# A person may wait for a run to an end.
_ONCE_WAIT_SECONDS = 0.05
# What Spark says between two triggers, first for milliseconds, then until the next one.
_BETWEEN_TRIGGERS = ("Waiting for data to arrive", "Waiting for next trigger")
_COMMIT_SECONDS = 5.0


@dataclass(frozen=True)
class BatchStream:
    """One stream: what a batch does, and how its query is started.

    `start` gets the function to hand to `foreachBatch` and whether the query shall end by itself once it has
    processed what is there (`availableNow`). `process` may be called again with the same number and rows.
    The batches of a `disposable` stream carry nothing: one that comes during the stop is passed over.
    """

    name: str
    process: BatchFunction
    start: Callable[[BatchFunction, bool], StreamingQuery]
    disposable: bool = False


@dataclass(frozen=True)
class Supervisor:
    """Runs streams side by side in one process.

    `on_failure` is told the stream's name and what its batch, or failing that its query, raised. `on_idle` is
    told, again and again, the name of a stream that has read its source to the end; `watch`, also again and
    again, the name and the query of each stream that runs, which StartAnewError ends.
    """

    streams: Sequence[BatchStream]
    retry: RetryPolicy
    on_failure: Callable[[str, BaseException], None]
    on_idle: Callable[[str], None] = lambda _name: None
    watch: Callable[[str, StreamingQuery], None] = lambda _name, _query: None

    def run(self, stop: StopFlag, once: bool) -> bool:
        """Run until `stop`, or, with `once`, until everything that was there is processed.

        A running batch is finished first. With `once` a stream that failed `retry.attempts` times in a row
        is given up, and the answer is False; otherwise it is restarted for ever. A ConfigurationError or
        AlreadyRunningError of a batch or a start ends all streams and is raised: waiting would not mend it.
        """
        # Spark's bridge prints the traceback of whatever a batch raises; `on_failure` tells and masks it.
        logging.getLogger("py4j.clientserver").setLevel(logging.CRITICAL)
        running = [_Running(stream, once, stop, self.retry) for stream in self.streams]
        set_back = SetBack()
        try:
            while not stop() and not all(one.finished for one in running):
                if not once and (seconds := set_back()):
                    logger.warning(f"⏰ The clock was set back by {seconds:.0f} seconds: streams start anew")
                    for one in running:
                        one.anew = StartAnewError("the clock was set back")
                for one in running:
                    self._look_after(one)
                stop.wait(_ONCE_WAIT_SECONDS if once else _WAIT_SECONDS)
        finally:
            for one in running:
                one.shut()
        return not any(one.gave_up for one in running)

    def _look_after(self, one: _Running) -> None:
        error = one.step(time.monotonic())
        if error is not None:
            self.on_failure(one.name, error)
            if isinstance(error, ConfigurationError | AlreadyRunningError):
                raise error
            return
        query = one.active_query()
        if query is not None:
            try:
                self.watch(one.name, query)
                if one.anew:
                    raise one.anew
            except StartAnewError as reason:
                one.end(reason)
                return
            status = query.status
            if status["message"] in _BETWEEN_TRIGGERS and not status["isDataAvailable"]:
                self.on_idle(one.name)


@dataclass
class _Running:
    """One stream's present query and its history of failures."""

    _stream: BatchStream
    _once: bool
    _stop: StopFlag
    _retry: RetryPolicy
    finished: bool = False
    gave_up: bool = False
    # Why the query is to be ended as soon as no batch runs.
    anew: StartAnewError | None = None
    _query: StreamingQuery | None = None
    _error: BaseException | None = None
    _failures: int = 0
    _done: int | None = None
    _start_at: float = float("-inf")
    # Held while a batch runs, and for good once the stream is shut.
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.name = self._stream.name

    def step(self, now: float) -> BaseException | None:
        """Start or look after the query; what it died of, if it just died."""
        if self.finished or (self._query is None and now < self._start_at):
            return None
        if self._query is None:
            try:
                self.anew = None
                _close_idle_callbacks()
                self._query = self._stream.start(self._batch, self._once)
            except Exception as error:  # noqa: BLE001 - the boundary: reported, and tried again
                return self._failed(error, now)
            return None
        if self._query.isActive:
            return None
        died_of = self._query.exception()
        anew = isinstance(self._error, StartAnewError)
        if anew or (died_of is None and self._once):
            self._query, self._error, self.finished = None, None, not anew
            return None
        return self._failed(self._error or died_of or _EndedError(f"{self.name} ended by itself"), now)

    def active_query(self) -> StreamingQuery | None:
        """The query while it runs."""
        query = self._query
        return query if query is not None and query.isActive else None

    def end(self, reason: StartAnewError) -> None:
        """End the query, unless a batch runs, which finds out by itself."""
        if self._query is None or not self._busy.acquire(blocking=False):
            return
        try:
            self._error, self.anew = reason, None
            _stop(self._query)
        finally:
            self._busy.release()

    def shut(self) -> None:
        """Let a running batch finish, then end the query; no batch begins afterwards."""
        # Not released: no batch shall begin any more.
        self._busy.acquire()
        if self._query is None:
            return
        # The function has returned, but Spark has yet to note that: cut short, the batch would come again.
        ends = time.monotonic() + _COMMIT_SECONDS
        while self._query.isActive and self._query.status["isTriggerActive"] and time.monotonic() < ends:
            time.sleep(_COMMIT_SECONDS / 100)
        _stop(self._query)

    def _batch(self, frame: DataFrame, number: int) -> None:
        # Never waiting here: Spark's stop() waits for this function while shut() holds the lock.
        if self._stop() or not self._busy.acquire(blocking=False):
            if self._stream.disposable:
                return
            raise _StoppingError(
                f"{self.name} is being stopped; batch {number} comes again at the next start"
            )
        try:
            self._error = None
            with explained():
                self._stream.process(frame, number)
            # One that came before succeeded, too, and Spark could not note it: that is the failure.
            if number != self._done:
                self._failures, self._done = 0, number
        except BaseException as error:  # noqa: BLE001 - handed on by step()
            # Spark prints what it is handed, and masks nothing: a driver's error may quote a password.
            self._error = error
            raise BatchError(f"batch {number} of {self.name}: {type(error).__name__}") from None
        finally:
            self._busy.release()

    def _failed(self, error: BaseException, now: float) -> BaseException | None:
        self._query, self._error = None, None
        if self._stop():
            return None
        self._failures += 1
        if self._once and self._failures >= self._retry.attempts:
            self.finished = self.gave_up = True
            return error
        pause = self._retry.pause(self._failures)
        self._start_at = now + pause
        logger.warning(f"🔁 {self.name} failed {self._failures} times in a row; again in {pause:.1f} seconds")
        return error


def _close_idle_callbacks() -> None:
    """Close the connections by which Java calls Python and which are not in use.

    A query that ended had one of its own, with a thread, which the bridge would keep for ever; one that waits
    for data makes itself another.
    """
    if SparkContext._gateway is not None:
        SparkContext._gateway.java_gateway_server.getCallbackClient().periodicCleanup()


def _stop(query: StreamingQuery) -> None:
    """Stop `query`; what does not end in Spark's `stopTimeout` is left to itself, and becomes no batch."""
    try:
        query.stop()
    except Py4JJavaError as error:
        if "TimeoutException" not in str(error.java_exception.getClass().getName()):
            raise


class StartAnewError(ServiceError):
    """A query's topic was made anew, or the clock set back: no fault, the query is started again at once.

    A batch raises it, and then comes again, or the function that watches the query.
    """


class BatchError(Exception):
    """What Spark gets to know of an error in a batch: its type alone."""


class _EndedError(Exception):
    """A query ended without an error and without being stopped."""


class _StoppingError(Exception):
    """A batch came while its stream was being stopped."""
