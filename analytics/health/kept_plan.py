"""One plan for every small batch of a session: analysed and planned once, run again for other histories.

Planning took two thirds of a small batch. Running a plan again is what calling `toArrow` twice on one frame
does; here the plan reads its histories anew each time it runs, as JSON from a system property of Java, which
the tasks share with the driver where Spark is local. Spark keeps the files of a shuffle, and so would answer
with the histories of before: a plan with an exchange is never run again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

# Not `spark.…`: Spark takes those for settings.
_PROPERTY: Final = "health_analytics.histories"
# Beyond, writing and reading the text costs more than planning (measured, two cores).
_MOST_ROWS: Final = 40_000
_NULL: Final = pa.scalar("null")
_SQL_TYPES: Final = {pa.int32(): "INT", pa.float64(): "DOUBLE"}


class KeptPlan:
    """Runs the query that `query` makes, as SQL text, of the SQL text of its input's rows.

    These have the columns of `schema`, int32 and float64.
    """

    def __init__(self, query: Callable[[str], str], schema: pa.Schema) -> None:
        self._query = query(f"({_rows(schema)})")
        # Two batches at once would read each other's histories.
        self._lock = threading.Lock()
        self._made: tuple[SparkSession, DataFrame | None] | None = None

    def run(self, spark: SparkSession, rows: pa.Table) -> pa.Table | None:
        """Returns the query's result for `rows`; None where only a fresh plan can have it.

        Raises Spark's errors unchanged; the next call plans anew then.
        """
        if rows.num_rows > _MOST_ROWS or not _is_local(spark):
            return None
        with self._lock:
            try:
                frame = self._plan(spark)
                if frame is None:
                    return None
                with _handed_over(spark, _text(rows)):
                    return frame.toArrow()
            except BaseException:
                self._made = None
                raise

    def _plan(self, spark: SparkSession) -> DataFrame | None:
        """The frame of this session, made at its first call; None where its plan cannot run again."""
        if self._made is None or self._made[0] is not spark:
            frame = spark.sql(self._query)
            self._made = spark, frame if _can_run_again(frame) else None
        return self._made[1]


def _is_local(spark: SparkSession) -> bool:
    """Whether tasks run in the driver's Java; `local-cluster` has others."""
    master = spark.sparkContext.master or ""
    return master == "local" or master.startswith("local[")


def _can_run_again(frame: DataFrame) -> bool:
    jdf: Any = frame._jdf
    plan = jdf.queryExecution().executedPlan().toString()
    return "Exchange" not in plan and "AdaptiveSparkPlan" not in plan


def _rows(schema: pa.Schema) -> str:
    """SQL text: the rows that lie in the property now. Raises in Spark what is not their JSON."""
    fields = ", ".join(f"{field.name}: ARRAY<{_SQL_TYPES[field.type]}>" for field in schema)
    text = f"reflect('java.lang.System', 'getProperty', '{_PROPERTY}')"
    # Otherwise a missing property would be no rows, and so delete the results of all users.
    strictly = "map('mode', 'FAILFAST')"
    columns = f"from_json({text}, 'STRUCT<{fields}>', {strictly}) AS columns"
    zipped = ", ".join(f"columns.{name}" for name in schema.names)
    return f"SELECT inline(arrays_zip({zipped})) FROM (SELECT {columns} FROM range(0, 1, 1, 1))"


def _text(rows: pa.Table) -> str:
    """The columns of `rows` as JSON; Arrow writes doubles so that reading gives the same."""
    columns = (f'"{name}":[{_joined(rows.column(name))}]' for name in rows.column_names)
    return "{" + ",".join(columns) + "}"


def _joined(column: pa.ChunkedArray) -> str:
    texts = pc.coalesce(pc.cast(column.combine_chunks(), pa.string()), _NULL)
    joined: str = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), ",")[0].as_py()
    return joined


@contextmanager
def _handed_over(spark: SparkSession, text: str) -> Iterator[None]:
    """Keep `text` in the property inside the block."""
    system: Any = spark._jvm.java.lang.System  # type: ignore[union-attr]
    system.setProperty(_PROPERTY, text)
    try:
        yield
    finally:
        # `clearProperty` would send the text back: 44 ms.
        system.getProperties().keySet().remove(_PROPERTY)
