"""Java is judged before Spark starts: one clear error, never a stack trace. And what Spark is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.sql import SparkSession

from contracts import ConfigurationError
from session import conf_for, require_java, spark_line
from tests.support.documents import ROOT


def _java(folder: Path, text: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{text}\nEND\n")
    program.chmod(0o755)
    return folder


def test_options_from_the_environment_do_not_hide_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAVA_TOOL_OPTIONS makes Java print a line before its version."""
    text = 'Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.2" 2024-01-16'
    monkeypatch.setenv("JAVA_HOME", str(_java(tmp_path / "jdk", text)))
    assert "21.0.2" in require_java()


@pytest.mark.parametrize(
    "text", ['openjdk version "11.0.2" 2019-01-15', 'openjdk version "25.0.1" 2025-10-21', "garbage", ""]
)
def test_a_java_that_is_too_old_too_new_or_none_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The error names what was found and what to install."""
    monkeypatch.setenv("JAVA_HOME", str(_java(tmp_path / "jdk", text)))
    with pytest.raises(ConfigurationError, match="openjdk-17"):
        require_java()


def test_no_java_at_all_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither JAVA_HOME nor PATH has one."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="Java was not found"):
        require_java()


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
