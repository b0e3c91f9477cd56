"""A cluster that gives Spark no executors: told after a minute, ended after a bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from structlog.testing import capture_logs

import executor_wait
from contracts import ServiceError
from executor_wait import explained
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.supervisor import BatchStream, Supervisor
from retry import RetryPolicy
from tests.support.waiting import wait_for

_PATIENCE_SECONDS = 120.0
_SENTENCE = r"No executor has taken a task for 600 seconds \(master local\[2\], asked for .*nothing is lost"


@dataclass
class Stages:
    """What Spark says of its stages: tasks that run, that are done and that failed, by stage."""

    now: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def getActiveStageIds(self) -> list[int]:  # noqa: N802 - Spark's name
        """All that have begun."""
        return list(self.now)

    def getStageInfo(self, number: int) -> Any:  # noqa: N802 - Spark's name
        """None for a stage that has just ended."""
        running, done, failed = self.now[number]
        return SimpleNamespace(
            stageId=number, numActiveTasks=running, numCompletedTasks=done, numFailedTasks=failed
        )


class Watched:
    """A watch over the real session with stages and a clock of the test."""

    def __init__(self, spark: SparkSession) -> None:
        self.seconds, self.stages = 0.0, Stages()
        self.watch = executor_wait._Watch(spark.sparkContext, 600.0, lambda: self.seconds)
        self.jobs = spark.sparkContext.statusTracker().getActiveJobsIds
        self.watch._tracker = SimpleNamespace(  # type: ignore[assignment]
            getActiveStageIds=self.stages.getActiveStageIds,
            getStageInfo=self.stages.getStageInfo,
            getActiveJobsIds=self.jobs,
        )

    def look(self, at: float) -> list[str]:
        """What the watch logs at that second."""
        self.seconds = at
        with capture_logs() as lines:
            self.watch.look()
        return [line["event"] for line in lines]


@pytest.fixture
def watched(spark: SparkSession) -> Watched:
    """A watch that waits 600 seconds."""
    return Watched(spark)


def test_a_wait_of_a_minute_is_told_once(watched: Watched) -> None:
    """The line names the master and what was asked for; as long as something moves there is none."""
    assert watched.look(0) == watched.look(1_000) == []
    watched.stages.now = {3: (0, 0, 0)}
    assert watched.look(1_000) == watched.look(1_059) == []
    (line,) = watched.look(1_060)
    assert "waited 60 seconds for executors (master local[2], asked for" in line
    assert watched.look(1_120) == []
    # A task was done, one failed, one runs: each is a sign of life.
    for moved in ({3: (0, 1, 0)}, {3: (0, 1, 1)}, {3: (1, 1, 1)}, {3: (0, 1, 1)}, {4: (0, 0, 0)}):
        watched.stages.now = moved
        at = watched.seconds + 55
        assert watched.look(at) == watched.look(at + 50) == []


def test_it_asks_for_executors_by_the_names_that_the_user_gave(spark: SparkSession) -> None:
    """Whoever reads the line knows which setting to look at."""
    asked = {"spark.executor.instances": "2", "spark.executor.memory": "900g"}
    context = SimpleNamespace(
        master="k8s://https://cluster",
        statusTracker=Stages,
        getConf=lambda: SimpleNamespace(contains=asked.__contains__, get=asked.__getitem__),
        _jsc=spark.sparkContext._jsc,
    )
    watch = executor_wait._Watch(context, 600.0)  # type: ignore[arg-type]
    assert watch._asked() == (
        "master k8s://https://cluster, asked for spark.executor.instances=2, spark.executor.memory=900g, "
        "0 there"
    )


def _sleeping(frame: DataFrame) -> DataFrame:
    def wait(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # Longer than the test: only being ended ends it.
        time.sleep(3_600)
        yield from batches

    return frame.mapInArrow(wait, "id long")


def _in_a_stream(frame: DataFrame, folder: Path) -> None:
    """A batch of a supervised stream, whose error `on_failure` is told."""
    (folder / "in").mkdir()
    (folder / "in" / "one.txt").write_text("1")
    rows = frame.sparkSession.readStream.text(str(folder / "in"))

    def start(batch: Callable[[DataFrame, int], None], _once: bool) -> Any:
        writer = rows.writeStream.foreachBatch(batch).trigger(availableNow=True)
        return writer.option("checkpointLocation", str(folder / "checkpoint")).start()

    def batch(given: DataFrame, _number: int) -> None:
        _sleeping(given.selectExpr("cast(value as long) id")).collect()

    failures: list[BaseException] = []
    supervisor = Supervisor(
        [BatchStream("rows", batch, start)],
        RetryPolicy(attempts=1, base_seconds=0.1, max_seconds=0.1),
        lambda _name, error: failures.append(error),
    )
    assert not supervisor.run(StopFlag(), once=True)
    assert isinstance(failures[0], ServiceError), failures
    raise failures[0]


@pytest.mark.parametrize(
    "act",
    [
        lambda frame, _folder: _sleeping(frame).collect(),
        lambda frame, _folder: _sleeping(frame).toArrow(),
        lambda frame, folder: _sleeping(frame).write.parquet(str(folder / "rows")),
        _in_a_stream,
    ],
    ids=["collect", "arrow", "parquet", "stream"],
)
def test_what_waits_for_too_long_is_ended_with_a_sentence(
    spark: SparkSession, watched: Watched, tmp_path: Path, act: Callable[[DataFrame, Path], object]
) -> None:
    """However a pipeline runs its job: the error says what to look at, and no data is blamed for it."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            with explained():
                act(spark.range(1), tmp_path)
        except Exception as error:  # noqa: BLE001 - judged below
            caught.append(error)

    job = threading.Thread(target=run)
    job.start()
    wait_for(watched.jobs, "a job", pause_seconds=0.02)
    watched.stages.now = {3: (0, 0, 0)}
    watched.look(0)
    watched.look(600)
    job.join(_PATIENCE_SECONDS)
    (error,) = caught
    with pytest.raises(ServiceError, match=_SENTENCE):
        raise error
