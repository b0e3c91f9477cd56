"""Measures the e-commerce pipeline against other ways of loading the same files, and against its budgets.

Turns alternate, each into a new database, so that a machine that grows slower slows all of them. What a large
table costs is measured with whole runs of the pipeline on one that is filled up in between.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.common import in_turns
from benchmarks.ecommerce_database import count, database, grow, settle
from benchmarks.ecommerce_files import event_files
from benchmarks.ecommerce_ways import JDBC_DRIVER, Way, pipeline, psql_copy, seeds_way, spark_jdbc
from benchmarks.figures import Figures
from benchmarks.memory import family, watch
from monitoring import logs
from session import build_session
from settings import load

OURS = "this service"
# The budget of each way: how many times as long as the pipeline it takes (psql: the other way round).
AT_LEAST = {"collect + execute_values": 4.0, "Spark JDBC + INSERT": 1.0}
AT_MOST = {"psql \\copy + INSERT": 0.95}
WAYS: dict[str, Way] = {
    OURS: pipeline,
    "collect + execute_values": seeds_way,
    "Spark JDBC + INSERT": spark_jdbc,
    "psql \\copy + INSERT": psql_copy,
}
# Cost per event in the largest table against the smallest.
FLAT = 1.5
_FILES = 5
_COMMAND = ("main.py", "--pipeline", "ecommerce", "--once")
_FLAT_RUNS = 3
_EVENTS_PER_MB = 8_200


class Bench:
    """One run: measures, prints, judges."""

    def __init__(self, spark: SparkSession, dsn: str, out: Console) -> None:
        self._spark, self._dsn, self._out = spark, dsn, out
        self._stored: dict[Path, int] = {}
        self.figures = Figures(out, "ecommerce")

    def compare(self, events: int, rounds: int, ways: Sequence[str]) -> None:
        """Every way in turns, after one small turn of each that only warms up.

        Raises RuntimeError when two ways store a different number of events.
        """
        files = event_files(events, _FILES)
        for name in ways:
            self._turn(name, event_files(max(events // 20, 1), _FILES))
        medians = in_turns({name: partial(self._turn, name, files) for name in ways}, rounds, self._out)
        rows = [
            [name, f"{found:.1f}", f"{events / found:,.0f}", f"{found / medians[OURS]:.2f}"]
            for name, found in medians.items()
        ]
        columns = ["way", "seconds", "events/s", "× the time of this service"]
        self.figures.table(f"{events:,} events, medians of {rounds} turns", columns, rows)
        for name in ways:
            if name in AT_LEAST:
                ratio = medians[name] / medians[OURS]
                self.figures.judge(f"throughput against {name}", ratio, " ×", least=AT_LEAST[name])
            elif name in AT_MOST:
                ratio = medians[OURS] / medians[name]
                self.figures.judge(f"time against {name}", ratio, " ×", most=AT_MOST[name])

    def flatness(self, sizes: Sequence[int], events: int) -> None:
        """The pipeline's cost per event on tables of different sizes; each run adds other events."""
        cost: dict[int, float] = {}
        with database(self._dsn) as dsn:
            for number, size in enumerate(sizes):
                grow(dsn, size, sizes[-1])
                found = []
                for run in range(_FLAT_RUNS):
                    files = event_files(events, _FILES, seed=100 + number * _FLAT_RUNS + run)
                    settle(dsn)
                    found.append(self._seconds(pipeline, dsn, files) / events * 1e6)
                cost[size] = median(found)
        rows = [[f"{size:,}", f"{found:.1f}"] for size, found in cost.items()]
        columns = ["rows in the table", "µs per event"]
        self.figures.table(f"{events:,} events at once, medians", columns, rows)
        what = f"cost per event, {sizes[-1]:,} rows against {sizes[0]:,}"
        self.figures.judge(what, cost[sizes[-1]] / cost[sizes[0]], " ×", most=FLAT)

    def memory(self, megabytes: int) -> None:
        """Take one file of about `megabytes` through the real command, in processes of its own."""
        (file,) = event_files(megabytes * _EVENTS_PER_MB, 1)
        with database(self._dsn) as dsn, tempfile.TemporaryDirectory() as folder:
            environment = {"POSTGRES_DSN": dsn, "ECOMMERCE_INPUT_PATH": str(file.parent)}
            seconds, largest = watch(_COMMAND, Path(folder), environment, _memory)
            stored = count(dsn)
        told = ", ".join(f"{kind} {found} MB" for kind, found in largest.items())
        size = file.stat().st_size / 1e6
        self._out.print(
            f"one file of {size:.0f} MB: {stored:,} events in {seconds:.0f} s; {told}", highlight=False
        )

    def _turn(self, name: str, files: Sequence[Path]) -> float:
        with database(self._dsn) as dsn:
            settle(dsn)
            seconds = self._seconds(WAYS[name], dsn, files)
            stored = count(dsn)
            expected = self._stored.setdefault(files[0], stored)
            if stored != expected:
                raise RuntimeError(f"{name} stored {stored} events, another way {expected}")
        return seconds

    def _seconds(self, way: Way, dsn: str, files: Sequence[Path]) -> float:
        began = time.perf_counter()
        way(self._spark, dsn, files)
        return time.perf_counter() - began


def _memory(driver: int) -> Iterator[tuple[str, int]]:
    """The kind of each process and its MB; of several workers the largest one's counts."""
    for pid, java, megabytes in family(driver):
        yield "java" if java else "driver" if pid == driver else "python worker", megabytes


def main(
    dsn: Annotated[str, typer.Option(envvar="POSTGRES_TEST_DSN", help="A server for databases bench_*.")],
    events: Annotated[int, typer.Option(min=_FILES, help="Events in the files.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Measured turns of each way.")] = 3,
    table_rows: Annotated[
        str, typer.Option(help="Sizes of the table for the cost per event; empty: leave it out.")
    ] = "100000,1000000,10000000",
    batch: Annotated[int, typer.Option(min=_FILES, help="Events added to such a table at once.")] = 500_000,
    file_megabytes: Annotated[
        int, typer.Option(min=0, help="Size of one file of which the memory is told; 0: leave it out.")
    ] = 1_000,
    with_jdbc: Annotated[bool, typer.Option("--jdbc/--no-jdbc", help="Needs PostgreSQL's driver.")] = True,
) -> None:
    """Measure loading CSV files into PostgreSQL; exit code 1 when a budget is missed."""
    logs.configure("ERROR")
    ways = [name for name in WAYS if with_jdbc or WAYS[name] is not spark_jdbc]
    ivy = Path(tempfile.gettempdir()) / "ecommerce-bench-ivy"
    extra = {"spark.driver.memory": "3g"}
    if with_jdbc:
        extra |= {"spark.jars.packages": JDBC_DRIVER, "spark.jars.ivy": str(ivy)}
    spark = build_session(load(env_file=None).spark, streaming=True, extra=extra)
    bench = Bench(spark, dsn, Console(width=120))
    bench.compare(events, rounds, ways)
    sizes = [int(size) for size in table_rows.split(",") if size]
    if sizes:
        bench.flatness(sizes, batch)
    spark.stop()
    if file_megabytes:
        bench.memory(file_megabytes)
    bench.figures.end()


if __name__ == "__main__":
    typer.run(main)
