"""A query goes on, or begins anew, whatever became of its folder."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from checkpoint.stream_folder import damage
from commands.checks.machine import spark_checkpoint
from pipelines.engine.stream_query import QueryFolder, address_of, start_query
from pipelines.engine.supervisor import StartAnewError
from tests.support.damage import DAMAGES
from tests.support.waiting import TIMEOUT_SECONDS

_FILES = 13


class Lines:
    """A folder of files of a line each, as the source of queries."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark = spark
        self._folder = folder
        self.sent = 0
        folder.mkdir()

    def send(self) -> None:
        """One more file."""
        (self._folder / f"{self.sent}.txt").write_text(f"{self.sent}")
        self.sent += 1

    def taken(self, checkpoint: Path, at_once: int = 100) -> list[int]:
        """What a run on `checkpoint` reads."""
        found: list[int] = []

        def keep(frame: DataFrame, _number: int) -> None:
            found.extend(int(row.value) for row in frame.collect())

        QueryFolder("lines", checkpoint, {}).prepare()
        frame = self._spark.readStream.option("maxFilesPerTrigger", at_once).text(str(self._folder))
        query = start_query("lines", frame, keep, checkpoint, 1.0, once=True)
        try:
            assert query.awaitTermination(round(TIMEOUT_SECONDS))
        finally:
            query.stop()
        return found


@pytest.fixture
def lines(spark: SparkSession, tmp_path: Path) -> Lines:
    """One that a query has read to the end, in `whole`, with a compacted note."""
    made = Lines(spark, tmp_path / "in")
    for _ in range(_FILES):
        made.send()
    assert len(made.taken(tmp_path / "whole", at_once=1)) == _FILES
    return made


def test_whatever_is_damaged_every_record_is_read_and_the_query_goes_on(
    lines: Lines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file or folder removed, emptied, cut short, overwritten, with its checksum and without."""
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number, harm in enumerate(DAMAGES):
        checkpoint = tmp_path / f"damaged {number}"
        shutil.copytree(tmp_path / "whole", checkpoint)
        harm(checkpoint, chance)
        capsys.readouterr()
        looked = spark_checkpoint(tmp_path)
        lines.send()
        found = lines.taken(checkpoint)
        # A folder that is gone is a new one, of which nothing is told.
        told = capsys.readouterr().out.count("was damaged")
        assert looked.status == ("warning" if told else "ok")
        assert (f"{checkpoint}: " in looked.detail) == bool(told)
        assert set(found) >= {lines.sent - 1}
        if told:
            assert sorted(found) == list(range(lines.sent))
        assert damage(checkpoint) is None


def test_a_folder_that_is_removed_under_a_query_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And begun from the beginning, although there is nothing left of it."""
    checkpoint = tmp_path / "events"
    folder = QueryFolder("events", checkpoint, {"topics.json": b"{}"})
    folder.prepare()
    assert not checkpoint.exists()
    checkpoint.mkdir()
    (checkpoint / "metadata").write_text('{"id":"1"}')
    folder.look()
    shutil.rmtree(checkpoint)
    with pytest.raises(StartAnewError, match="removed"):
        folder.look()
    folder.prepare()
    assert "it was removed under the query" in capsys.readouterr().out
    assert [file.name for file in checkpoint.iterdir()] == ["topics.json"]


@pytest.mark.parametrize("name", ["my data #1", "50% of a%20b", "käse?x=1&y", "a+b;c", "[x] {y} *"])
def test_nothing_is_written_beside_the_folder_of_a_query(
    name: str, spark: SparkSession, tmp_path: Path
) -> None:
    """Spark decodes nothing of an address, so what would be escaped would be the name of another folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1").write_text("a")
    lines: list[str] = []
    for text in ("a", "b"):
        (tmp_path / "in" / text).write_text(text)
        frame = spark.readStream.text(str(tmp_path / "in"))
        query = start_query(
            "q", frame, lambda f, _: lines.extend(r.value for r in f.collect()), tmp_path / name, 1, True
        )
        query.awaitTermination()
    assert sorted(lines) == ["a", "a", "b"]
    assert {path.name for path in tmp_path.iterdir()} == {"in", name}
    assert (tmp_path / name / "offsets" / "1").is_file()


def test_an_address_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder is usually given relative to where the job starts."""
    monkeypatch.chdir(tmp_path)
    assert address_of(Path("a b")) == f"file://{tmp_path}/a b"
