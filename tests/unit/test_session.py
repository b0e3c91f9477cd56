"""What Spark is told when it is started."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyspark
import pytest
from pyspark.sql import SparkSession

import session
from contracts.spark import SparkStart
from session import conf_for, spark_line, spark_session
from tests.support.documents import ROOT


@pytest.mark.parametrize(
    ("version", "line"),
    [("4.0.5", (4, 0)), ("4.1.4", (4, 1)), ("4.2.0.dev1", (4, 2)), ("4.0.2-amzn-0", (4, 0))],
)
def test_the_line_of_sparks_version(
    version: str, line: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where others have built it."""
    monkeypatch.setattr(pyspark, "__version__", version)
    assert spark_line() == line


def test_the_classes_that_are_named_exist(spark: SparkSession) -> None:
    """Spark 4.1 moved both: the one of the setting by version, of the silenced logs each name."""
    jvm: Any = spark._jvm
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    manager = conf_for(streaming=True)["spark.sql.streaming.checkpointFileManagerClass"]
    assert loader.loadClass(manager).getName() == manager
    folder = "" if spark_line() < (4, 1) else "runtime."
    silenced = f"org.apache.spark.sql.execution.streaming.{folder}MicroBatchExecution"
    assert loader.loadClass(silenced).getName() == silenced
    quiet = (ROOT / "deploy" / "spark" / "log4j2.properties").read_text()
    names = {line.partition(".name = ")[2] for line in quiet.splitlines()}
    assert names >= {
        f"org.apache.spark.sql.execution.streaming.{place}MicroBatchExecution" for place in ("", "runtime.")
    }


def _stream(spark: SparkSession, folder: Path, batch: Callable[[Any, int], None]) -> None:
    """Hand all new files below `folder` to `batch`."""
    lines = spark.readStream.format("text").load(str(folder / "input"))
    writer = lines.writeStream.foreachBatch(batch).trigger(availableNow=True)
    query = writer.option("checkpointLocation", str(folder / "checkpoint")).start()
    query.awaitTermination()


def test_no_batch_is_planned_adaptively(spark: SparkSession, tmp_path: Path) -> None:
    """Since 4.1 Spark would do so also for the batches of a stream."""
    seen: list[str | None] = []
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "1").write_text("a\n")
    conf = "spark.sql.adaptive.enabled"
    _stream(spark, tmp_path, lambda frame, _number: seen.append(frame.sparkSession.conf.get(conf)))
    assert seen == ["false"]


def test_a_checkpoint_without_its_metadata_goes_on(spark: SparkSession, tmp_path: Path) -> None:
    """As before Spark 4.2, for example after a restored backup: nothing is read twice."""
    seen: list[str] = []
    (tmp_path / "input").mkdir()
    for name in ("1", "2"):
        (tmp_path / "input" / name).write_text(f"{name}\n")
        _stream(spark, tmp_path, lambda frame, _number: seen.extend(r.value for r in frame.collect()))
        for file in (tmp_path / "checkpoint").glob("*metadata*"):
            file.unlink()
    assert seen == ["1", "2"]


class _Spark:
    """Stands for a session, and says what was done with it."""

    def __init__(self, name: str, said: list[str]) -> None:
        self.name, self._said = name, said
        self.sparkContext = SimpleNamespace(master="local[*]")

    def newSession(self) -> _Spark:  # noqa: N802 - the name is pyspark's
        """As pyspark has it."""
        return _Spark("another", self._said)

    def stop(self) -> None:
        """As pyspark has it."""
        self._said.append(f"{self.name} stopped")


@pytest.mark.parametrize("leaves_first", [0, 1])
def test_several_pipelines_of_a_process_share_spark(
    leaves_first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a session of its own; whoever leaves first, or fails, does not take it from the other."""
    said: list[str] = []
    monkeypatch.setattr(session, "_inside", [])
    monkeypatch.setattr(session, "build_session", lambda *_: _Spark("the first", said))
    start = SparkStart("name", "", 1.0)
    blocks = [ExitStack(), ExitStack()]
    first, second = (block.enter_context(spark_session(start, True)) for block in blocks)
    assert first is not second
    with pytest.raises(ValueError, match="mine"), blocks.pop(leaves_first):
        raise ValueError("mine")
    assert said == []
    blocks[0].close()
    assert len(said) == 1
