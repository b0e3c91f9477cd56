"""The folder of a query is the one that was named, whatever its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipelines.engine.stream_query import address_of, start_query


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
