"""Measures the health service, part by part, and holds it to its budgets."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from pymongo import MongoClient
from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks import scale
from benchmarks.changes import LONG_DAYS, LONG_USERS, Changes
from benchmarks.commands import measure_full, measure_start
from benchmarks.figures import Figures
from benchmarks.peers import Ours
from benchmarks.population import WORKLOADS, fill, user_ids
from benchmarks.reads import measure_reads
from benchmarks.ticks import idle_and_floor
from monitoring import logs
from pipelines.engine.stop_flag import StopFlag
from session import build_session
from settings import load

PARTS = ("idle", "changes", "connector", "backlog", "full", "start")
_CONNECTOR_ROUNDS = 3
_MOST_IDLE_MS = 3.0
_READ_USERS = 500
# How often whole commands are run.
_FULL_ROUNDS, _START_ROUNDS = 1, 3


@dataclass
class Bench:
    """One run: fills the databases, measures, prints, judges."""

    uri: str
    users: int
    days: int
    numbers: list[int]
    figures: Figures

    def run(self, parts: set[str], workloads: list[str], base: Path | None) -> None:
        """Measure the `parts`."""
        if parts & {"idle", "changes"}:
            self._in_one_session(parts, workloads)
        if "connector" in parts:
            self._connector()
        if "backlog" in parts:
            self._backlog()
        if "full" in parts:
            self.figures.part("health, full pass")
            # By default 2 000.
            measure_full(self.uri, max(self.users // 5, 1), _FULL_ROUNDS, base, self.figures)
        if "start" in parts:
            self.figures.part("health, start")
            measure_start(self.uri, _START_ROUNDS, base, self.figures)

    def _in_one_session(self, parts: set[str], workloads: list[str]) -> None:
        many = self._filled(self.users, self.days)
        spark = build_session(load(env_file=None).spark, streaming=True)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ours = Ours(spark, self.uri, many, self.users, folder / "ours")
            if "idle" in parts:
                self._idle(spark, ours, folder)
            if "changes" in parts:
                self.figures.part("health, changes")
                fewer = max(*self.numbers, self.users // 10)
                long = self._filled(min(LONG_USERS, self.users), LONG_DAYS)
                names = (many, self._filled(fewer, self.days), long)
                changes = Changes(names, self.users, fewer, self.days, self.figures)
                changes.measure(spark, self.uri, ours, folder, self.numbers, workloads)
            spark.stop()

    def _filled(self, users: int, days: int) -> str:
        """The name of a database with this number of users and days."""
        client: MongoClient[dict[str, Any]] = MongoClient(self.uri)
        name = f"bench_{users}_{days}"
        self.figures.out.print(f"{users} users × {days} days …")
        fill(client[name], users, days)
        return name

    def _idle(self, spark: SparkSession, ours: Ours, folder: Path) -> None:
        self.figures.part("health, idle")
        idle, floor = idle_and_floor(spark, folder / "ticker", lambda: ours.job.once(StopFlag()))
        rows = [["a poll that finds nothing", f"{idle:.1f}"], ["an empty foreachBatch", f"{floor:.1f}"]]
        self.figures.table("A trigger of the stream, medians", ["its work", "ms"], rows)
        self.figures.judge("idle poll above an empty foreachBatch", idle - floor, " ms", most=_MOST_IDLE_MS)

    def _connector(self) -> None:
        """The same sync by parts off the shelf, in a process of its own."""
        self.figures.part("health, connector")
        name = self._filled(self.users, self.days)
        arguments = [
            self.uri,
            name,
            *map(str, (self.users, self.days, json.dumps(self.numbers), _CONNECTOR_ROUNDS)),
        ]
        command = [sys.executable, "-m", "benchmarks.connector_peer", *arguments]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"the connector's process failed:\n{run.stderr[-2000:]}")
        found = json.loads(run.stdout.splitlines()[-1])
        rows = [[f"{int(number):,}", f"{median(seconds) * 1000:.0f}"] for number, seconds in found.items()]
        self.figures.table(
            "mongo-spark-connector reads and writes, Spark computes", ["changed users", "ms"], rows
        )

    def _backlog(self) -> None:
        self.figures.part("health, backlog")
        client: MongoClient[dict[str, Any]] = MongoClient(self.uri, tz_aware=True)
        source = fill(client["bench_scale_reads"], _READ_USERS, self.days, spread=True)
        since = datetime.now(timezone.utc) - timedelta(days=30)
        measure_reads(source, user_ids(_READ_USERS), since, self.figures)


def main(
    uri: Annotated[str, typer.Option(envvar="MONGO_TEST_URI", help="A server to fill with test data.")],
    users: Annotated[int, typer.Option(help="Users in the larger database.")] = 10_000,
    days: Annotated[int, typer.Option(help="Days of history for each user.")] = 180,
    changed: Annotated[str, typer.Option(help="Changed users per batch.")] = "1,100,1000",
    workloads: Annotated[str, typer.Option(help="What changes.")] = ",".join(WORKLOADS),
    parts: Annotated[str, typer.Option(help="What is measured.")] = ",".join(PARTS),
    base: Annotated[
        Path | None, typer.Option(help="A checkout of an earlier version, for full and start.")
    ] = None,
    with_connector: Annotated[bool, typer.Option("--connector/--no-connector")] = True,
) -> None:
    """Measure the health service, in milliseconds (medians), against a script, a connector, its budgets."""
    logs.configure("ERROR")
    figures, chosen = Figures(Console(width=160), ""), {*parts.split(",")}
    if not with_connector:
        chosen -= {"connector"}
    Bench(uri, users, days, sorted(map(int, changed.split(","))), figures).run(
        chosen, workloads.split(","), base
    )
    figures.end()


if __name__ == "__main__":
    # On a cluster it is another measurement, with options of its own.
    if sys.argv[1:2] == ["--scale"]:
        del sys.argv[1]
        typer.run(scale.main)
    typer.run(main)
