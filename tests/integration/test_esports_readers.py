"""Readers of the esports datasets: a column that came later breaks none of them."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import SparkSession

from analytics.esports.rules import MATCHES
from tests.support.arena import Arena, match


def test_a_column_that_came_later_breaks_no_reader(arena: Arena, spark: SparkSession) -> None:
    """duckdb, pyarrow and Spark, as docs/esports.md shows it: all rows, nulls in the older ones."""
    older = replace(MATCHES, fields={name: kind for name, kind in MATCHES.fields.items() if name != "patch"})
    topic = arena.topics.matches
    arena.topics.send(topic, [match(number, patch="15.1") for number in range(6)])
    assert arena.run(older)
    arena.topics.send(topic, [match(number, patch="15.2") for number in range(6, 10)])
    assert arena.run(MATCHES)
    expected = {f"M{number}": ("15.2" if number > 5 else None) for number in range(10)}
    path = str(arena.settings.esports_output_path / "matches")

    with duckdb.connect() as connection:
        files = f"read_parquet('{path}/**/*.parquet', hive_partitioning=true, union_by_name=true)"
        rows = connection.execute(f"SELECT match_id, patch FROM {files}").fetchall()
        assert dict(rows) == expected
        described = connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM {files})")
        kinds = dict(described.fetchall())
    assert kinds["started_at"] == "TIMESTAMP WITH TIME ZONE"
    assert {"status", "batch", "kafka_offset"} <= kinds.keys()

    found = ds.dataset(path, partitioning="hive")
    schemas = [fragment.physical_schema for fragment in found.get_fragments()]
    schema = pa.unify_schemas([*schemas, found.schema])
    table = ds.dataset(path, partitioning="hive", schema=schema).to_table()
    assert dict(zip(table["match_id"].to_pylist(), table["patch"].to_pylist(), strict=True)) == expected
    assert set(table["status"].to_pylist()) == {"finished", "live", "scheduled"}

    frame = spark.read.option("mergeSchema", "true").parquet(f"file://{path}")
    assert {row.match_id: row.patch for row in frame.select("match_id", "patch").collect()} == expected
    assert frame.where("status = 'live'").count() == 3
