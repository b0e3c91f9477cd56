"""Rows on the driver: all of them, and no job stays behind in Spark."""

from __future__ import annotations

from pyspark.sql import SparkSession

from pipelines.engine.local_rows import local_rows
from tests.support.documents import ROOT


def test_all_rows_come_in_order(spark: SparkSession) -> None:
    """As `collect` gives them."""
    frame = spark.range(0, 100, 1, 3).selectExpr("id", "CAST(CAST(id AS STRING) AS BINARY) AS raw")
    assert [(row.id, bytes(row.raw)) for row in local_rows(frame)] == [(n, b"%d" % n) for n in range(100)]


def test_the_frames_own_iterator_is_used_nowhere() -> None:
    """Each of its jobs stays in the driver's memory."""
    users = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if not {".venv", "tests", "benchmarks"} & set(path.relative_to(ROOT).parts)
        and ".toLocalIterator(" in path.read_text(encoding="utf-8")
    ]
    assert users == ["pipelines/engine/local_rows.py"]
