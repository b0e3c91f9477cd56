"""Plans that are analysed and planned once a session, and run again for the histories of each batch.

Planning took two thirds of a small batch. Running a plan again is what calling `toArrow` twice on one frame
does; here the plan reads its histories anew each time it runs, as JSON from a system property of Java, which
the tasks share with the driver where Spark is local. Spark keeps the files of a shuffle, and so would answer
with the histories of before: a plan with an exchange is never run again. So each plan is one task, and
several plans side by side use all cores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

# Not `spark.…`: Spark takes those for settings.
_PROPERTY: Final = "health_analytics.histories"
# Rows of a part: with fewer than 50 users of half a year each job costs more than it gains, and a text of
# more only takes memory.
_LEAST_ROWS: Final = 9_000
_MOST_ROWS: Final = 36_000
_MOST_PLANS: Final = 16
_NULL: Final = pa.scalar("null")
_SQL_TYPES: Final = {pa.int32(): "INT", pa.float64(): "DOUBLE"}


class KeptPlans:
    """Runs a query on parts of its input side by side, in as many plans as Spark has cores.

    `query` makes it, as SQL text, of the SQL text of its input's rows; these have the columns of `schema`,
    int32 and float64. Each user's rows are in one part.
    """

    def __init__(self, query: Callable[[str], str], schema: pa.Schema) -> None:
        self._plans = [KeptPlan(query, schema, number) for number in range(_MOST_PLANS)]
        # Kept, because each new thread opens a connection to Java.
        self._threads = ThreadPoolExecutor(_MOST_PLANS, "kept_plans")

    def run(self, spark: SparkSession, rows: pa.Table) -> pa.Table | None:
        """Returns the query's result for `rows`; None where only a fresh plan can have it.

        Raises Spark's errors unchanged.
        """
        if not _is_local(spark):
            return None
        # One more each time, because the first batch of a process shall not wait for all of them.
        made = sum(plan.is_made(spark) for plan in self._plans)
        plans = self._plans[: min(made + 1, spark.sparkContext.defaultParallelism)]
        parts = _parts(rows, len(plans))
        if len(parts) == 1:
            return plans[0].run(spark, rows)
        run = self._threads.submit
        running = [run(plans[n % len(plans)].run, spark, part) for n, part in enumerate(parts)]
        wait(running)
        results = [each.result() for each in running]
        found = [result for result in results if result is not None]
        return pa.concat_tables(found) if len(found) == len(parts) else None


class KeptPlan:
    """One plan of KeptPlans, of which it is the `number`th."""

    def __init__(self, query: Callable[[str], str], schema: pa.Schema, number: int = 0) -> None:
        self._property = f"{_PROPERTY}.{number}"
        self._query = query(f"({_rows(schema, self._property)})")
        # Two batches at once would read each other's histories.
        self._lock = threading.Lock()
        self._made: tuple[SparkSession, DataFrame | None] | None = None

    def is_made(self, spark: SparkSession) -> bool:
        """Whether it was planned in the session `spark`."""
        made = self._made
        return made is not None and made[0] is spark

    def run(self, spark: SparkSession, rows: pa.Table) -> pa.Table | None:
        """Returns the query's result for `rows`; None where its plan cannot run again.

        Raises Spark's errors unchanged; the next call plans anew then.
        """
        with self._lock:
            try:
                frame = self._plan(spark)
                if frame is None:
                    return None
                with _handed_over(spark, self._property, _text(rows)):
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


def _parts(rows: pa.Table, plans: int) -> list[pa.Table]:
    """Cut `rows` between users, into as many parts as there are `plans`, or a few times as many."""
    size = min(max(-(-rows.num_rows // plans), _LEAST_ROWS), _MOST_ROWS)
    if rows.num_rows <= size:
        return [rows]
    rows = rows.sort_by("user")
    users = rows.column("user")
    cuts = {pc.index(users, users[place]).as_py() for place in range(size, rows.num_rows, size)}
    edges = sorted({0, rows.num_rows, *cuts})
    return [rows.slice(first, last - first) for first, last in pairwise(edges)]


def _rows(schema: pa.Schema, name: str) -> str:
    """SQL text: the rows that lie in the property `name` now. Raises in Spark what is not their JSON."""
    fields = ", ".join(f"`{field.name}`: ARRAY<{_SQL_TYPES[field.type]}>" for field in schema)
    text = f"reflect('java.lang.System', 'getProperty', '{name}')"
    # Otherwise a missing property would be no rows, and so delete the results of all users.
    strictly = "map('mode', 'FAILFAST')"
    columns = f"from_json({text}, 'STRUCT<{fields}>', {strictly}) AS columns"
    zipped = ", ".join(f"columns.`{name}`" for name in schema.names)
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
def _handed_over(spark: SparkSession, name: str, text: str) -> Iterator[None]:
    """Keep `text` in the property `name` inside the block."""
    system: Any = spark._jvm.java.lang.System  # type: ignore[union-attr]
    system.setProperty(name, text)
    try:
        yield
    finally:
        # `clearProperty` would send the text back: 44 ms.
        system.getProperties().keySet().remove(name)
