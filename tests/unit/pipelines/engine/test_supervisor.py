"""The supervisor: restarts with back-off, batches that come again, and an end that loses none."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from contracts import ConfigurationError
from pipelines.engine import supervisor
from pipelines.engine.set_back import SetBack
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.supervisor import BatchFunction, BatchStream, StartAnewError, Supervisor
from retry import RetryPolicy

FAST = RetryPolicy(attempts=3, base_seconds=0.05, max_seconds=0.1)


class Files:
    """A folder of text files as a stream of one file a batch, and the lines that batches were given."""

    every = "50 milliseconds"

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.folder = folder
        self.lines: list[str] = []
        (folder / "in").mkdir()

    def add(self, *lines: str) -> None:
        """One file a line."""
        for line in lines:
            (self.folder / "in" / f"{line}.txt").write_text(line)
            time.sleep(0.01)  # files are taken in the order of their modification times

    def keep(self, frame: DataFrame, _number: int) -> None:
        """The batch function that cannot fail."""
        self.lines += [row.value for row in frame.collect()]

    def stream(self, process: BatchFunction | None = None, name: str = "files") -> BatchStream:
        """A stream over the folder; each `name` has a checkpoint of its own."""
        return BatchStream(name, process or self.keep, lambda batch, once: self._start(name, batch, once))

    def _start(self, name: str, batch: BatchFunction, once: bool) -> StreamingQuery:
        trigger = {"availableNow": True} if once else {"processingTime": self.every}
        source = self.spark.readStream.option("maxFilesPerTrigger", 1).text(str(self.folder / "in"))
        writer = source.writeStream.foreachBatch(batch).trigger(**trigger)
        return writer.option("checkpointLocation", str(self.folder / name)).start()


@pytest.fixture
def files(spark: SparkSession, tmp_path: Path) -> Files:
    """An empty folder to stream from."""
    return Files(spark, tmp_path)


def _fail_times(times: int, error: BaseException, then: BatchFunction) -> tuple[BatchFunction, list[int]]:
    numbers: list[int] = []

    def process(frame: DataFrame, number: int) -> None:
        numbers.append(number)
        if len(numbers) <= times:
            raise error
        then(frame, number)

    return process, numbers


def test_once_processes_what_is_there_and_ends(files: Files) -> None:
    """Every file is one batch, in order, and a second run finds nothing."""
    files.add("a", "b", "c")
    restarting = Supervisor([files.stream()], FAST, _no_failure)
    assert restarting.run(StopFlag(), once=True)
    assert restarting.run(StopFlag(), once=True)
    assert files.lines == ["a", "b", "c"]


def test_a_source_that_is_another_one_is_no_failure(files: Files) -> None:
    """A batch tells, or who watches a query that has nothing to do; it is started again at once."""
    files.add("a")
    process, numbers = _fail_times(1, StartAnewError("another one"), files.keep)
    starts: list[bool] = []
    stop = StopFlag()
    stream = files.stream(process)

    def start(batch: BatchFunction, once: bool) -> StreamingQuery:
        starts.append(once)
        return stream.start(batch, once)

    def watch(_name: str, _query: StreamingQuery) -> None:
        # Before that the batch would come again.
        committed = (files.folder / "files" / "commits" / "0").exists()
        if committed and len(starts) == 2:
            raise StartAnewError("another one again")
        if len(starts) == 3:
            stop.set()

    started = BatchStream("files", process, start)
    assert Supervisor([started], FAST, _no_failure, watch=watch).run(stop, once=False)
    assert (files.lines, numbers, len(starts)) == (["a"], [0, 0], 3)
    files.add("b")
    process, numbers = _fail_times(1, StartAnewError("another one"), files.keep)
    assert Supervisor([files.stream(process)], FAST, _no_failure).run(StopFlag(), once=True)
    assert (files.lines, numbers) == (["a", "b"], [1, 1])


def test_a_clock_that_was_set_back_starts_the_queries_anew(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Spark's trigger would wait until the clock has caught up; a running batch is finished first."""
    monkeypatch.setattr(files, "every", "1 hour")
    files.add("a")
    told, stop = threading.Event(), StopFlag()
    # It is set back while the first batch runs.
    monkeypatch.setattr(
        supervisor, "SetBack", lambda: lambda: 600.0 if files.lines and not told.is_set() else 0
    )
    ends = time.monotonic() + 60

    def process(frame: DataFrame, number: int) -> None:
        files.keep(frame, number)
        if number == 0:
            files.add("b")
            assert told.wait(30)

    def watch(_name: str, _query: StreamingQuery) -> None:
        if files.lines:
            told.set()
        if files.lines == ["a", "b"] or time.monotonic() > ends:
            stop.set()

    assert Supervisor([files.stream(process)], FAST, _no_failure, watch=watch).run(stop, once=False)
    assert files.lines == ["a", "b"]
    assert "set back by 600 seconds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("walls", "told"),
    [
        ((0, 1, 2), (0, 0)),
        ((0, 1, -599), (0, 601)),
        ((0, 3600, 3601), (0, 0)),
        ((0, 3600, 0), (0, 3601)),
        ((0, 0.5, 1.0), (0, 0)),
    ],
)
def test_only_a_clock_that_goes_back_is_told(walls: tuple[float, ...], told: tuple[float, ...]) -> None:
    """Forth is what a suspended machine's does, and slowly is how clocks are corrected."""
    times = iter(walls)
    steady = itertools.count()
    set_back = SetBack(lambda: next(times), lambda: next(steady))
    assert (set_back(), set_back()) == told


def test_a_failed_batch_comes_again_with_its_number(files: Files) -> None:
    """The stream is restarted and nothing is left out; the handler gets the batch's own exception."""
    files.add("a", "b")
    process, numbers = _fail_times(2, OSError("the sink is away"), files.keep)
    failures: list[tuple[str, BaseException]] = []
    restarting = Supervisor([files.stream(process)], FAST, lambda *failure: failures.append(failure))
    assert restarting.run(StopFlag(), once=True)
    assert files.lines == ["a", "b"]
    assert numbers == [0, 0, 0, 1]
    assert [(name, type(error), str(error)) for name, error in failures] == [
        ("files", OSError, "the sink is away")
    ] * 2


def test_once_gives_up_after_so_many_failures_in_a_row(files: Files) -> None:
    """The answer is False and the batch is still owed."""
    files.add("a")
    process, numbers = _fail_times(10**6, OSError("away"), files.keep)
    assert not Supervisor([files.stream(process)], FAST, _ignore_failure).run(StopFlag(), once=True)
    assert len(numbers) == FAST.attempts
    assert Supervisor([files.stream()], FAST, _no_failure).run(StopFlag(), once=True)
    assert files.lines == ["a"]


def test_a_batch_that_succeeds_ends_the_row_of_failures(files: Files) -> None:
    """Each of three batches fails once less than may be in a row, and none is given up."""
    files.add("a", "b", "c")
    numbers: list[int] = []

    def process(frame: DataFrame, number: int) -> None:
        numbers.append(number)
        if numbers.count(number) < FAST.attempts:
            raise OSError("away for a moment")
        files.keep(frame, number)

    assert Supervisor([files.stream(process)], FAST, _ignore_failure).run(StopFlag(), once=True)
    assert files.lines == ["a", "b", "c"]
    assert numbers == [0] * FAST.attempts + [1] * FAST.attempts + [2] * FAST.attempts


def test_one_stream_that_fails_does_not_stop_the_other(files: Files) -> None:
    """Streams of one process are independent, and without `once` none is given up."""
    files.add("a")
    stop = StopFlag()
    process, numbers = _fail_times(FAST.attempts + 2, OSError("away"), _then_stop(stop))
    streams = [files.stream(process, "bad"), files.stream(name="good")]
    assert Supervisor(streams, FAST, _ignore_failure).run(stop, once=False)
    assert files.lines == ["a"]
    assert len(numbers) == FAST.attempts + 3


def test_a_query_that_ended_leaves_no_thread_and_no_connection(files: Files) -> None:
    """A server that is away for a day makes some thousand of them; a stream beside them goes on."""
    files.add("a")
    stop, seen = StopFlag(), list[tuple[int, int]]()

    def process(_frame: DataFrame, _number: int) -> None:
        seen.append((threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))))
        files.add(str(len(seen)))
        if len(seen) >= 12 and len(files.lines) > 4:
            stop.set()
        raise OSError("away")

    streams = [files.stream(process, "bad"), files.stream(name="good")]
    assert Supervisor(streams, FAST, _ignore_failure).run(stop, once=False)
    (threads, descriptors), (threads_before, descriptors_before) = seen[-1], seen[3]
    assert threads <= threads_before + 2
    assert descriptors <= descriptors_before + 2


def test_a_stream_that_has_read_everything_is_idle(files: Files) -> None:
    """So that health endpoints can tell a quiet source from a dead stream."""
    files.add("a")
    stop = StopFlag()

    def idle(name: str) -> None:
        assert name == "files"
        assert files.lines == ["a"]
        stop.set()

    assert Supervisor([files.stream()], FAST, _no_failure, idle).run(stop, once=False)


def test_a_stream_is_idle_for_the_whole_time_between_two_triggers(files: Files) -> None:
    """Not only in the moment in which a trigger finds nothing, which who looks now and then would miss."""
    files.every = "1 hour"
    stop = StopFlag()
    told = []

    def idle(name: str) -> None:
        told.append(name)
        if len(told) == 3:
            stop.set()

    assert Supervisor([files.stream()], FAST, _no_failure, idle).run(stop, once=False)


def test_what_a_person_must_mend_ends_all_streams(files: Files) -> None:
    """Waiting would not mend a wrong setting."""
    files.add("a")
    process, _numbers = _fail_times(1, ConfigurationError("the topic is not there"), files.keep)
    with pytest.raises(ConfigurationError, match="the topic is not there"):
        Supervisor([files.stream(process)], FAST, _ignore_failure).run(StopFlag(), once=False)
    assert files.spark.streams.active == []


def test_a_stop_lets_the_running_batch_finish_and_loses_none(files: Files) -> None:
    """The batch under way is done; the others come at the next start, none twice."""
    files.add("a", "b", "c")
    stop, begun = StopFlag(), threading.Event()

    def slow(frame: DataFrame, number: int) -> None:
        begun.set()
        time.sleep(1.0)
        files.keep(frame, number)

    def stop_soon() -> None:
        begun.wait()
        stop.set()

    stopper = threading.Thread(target=stop_soon)
    stopper.start()
    assert Supervisor([files.stream(slow)], FAST, _no_failure).run(stop, once=False)
    stopper.join()
    assert files.lines == ["a"]
    assert Supervisor([files.stream()], FAST, _no_failure).run(StopFlag(), once=True)
    assert files.lines == ["a", "b", "c"]


def _then_stop(stop: StopFlag) -> BatchFunction:
    def process(_frame: DataFrame, _number: int) -> None:
        stop.set()

    return process


def _no_failure(name: str, error: BaseException) -> None:
    raise AssertionError(f"{name} failed") from error


def _ignore_failure(_name: str, _error: BaseException) -> None:
    return
