"""Measures the health batch against its peers in one run, and holds it to its budgets.

Each peer's turn: some users change, then one whole batch from the poll to the saved cursor. Turns alternate,
so that a machine that grows slower slows both.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from benchmarks import scale
from benchmarks.common import Verdicts
from benchmarks.peers import Peer, Stopwatch, difference, polars_batch, spark_peer, whole_job
from benchmarks.population import change, fill, user_ids
from benchmarks.ticks import idle_and_floor
from monitoring import logs
from pipelines.engine.stop_flag import StopFlag
from session import build_session
from settings import load

ROUNDS = {1: 15, 100: 9, 1_000: 5}
WARM_UP = {1: 8, 100: 5, 1_000: 3}
_CONNECTOR_ROUNDS = 3
# How many times as long as polars, by changed users.
_AGAINST_POLARS = {100: 2.2, 1_000: 1.5}


@dataclass
class Turns:
    """Wall and CPU seconds of each measured batch of one peer."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    steps: list[dict[str, float]] = field(default_factory=list)
    documents: int = 0

    def milliseconds(self) -> float:
        """Median wall time."""
        return median(self.wall) * 1000

    def step(self, name: str) -> float:
        """Median milliseconds of one step."""
        return median(steps.get(name, 0.0) for steps in self.steps)


def take_turns(peers: Sequence[Peer], watch: Stopwatch, users: list[ObjectId]) -> list[Turns]:
    """Warm up, then measure every peer in turns on changes of the same users in its database."""
    rng = random.Random(7)
    turns = [Turns() for _ in peers]
    rounds, warm_up = ROUNDS.get(len(users), 5), WARM_UP.get(len(users), 3)
    for number in range(warm_up + rounds):
        for peer, turn in zip(peers, turns, strict=True):
            peer.catch_up()
            change(peer.database["healthmetrics"], users, rng)
            wall, cpu = watch.time(peer.run)
            if number >= warm_up:
                turn.wall.append(wall)
                turn.cpu.append(cpu)
                turn.steps.append(dict(peer.reports[0].steps_ms))
                turn.documents = peer.reports[0].analytics_computed
    return turns


def check_equal(peers: Sequence[Peer], user: ObjectId) -> None:
    """Require that all `peers`, on one database, leave the same documents of `user`.

    Raises RuntimeError that names the first difference.
    """
    results = []
    for peer in peers:
        change(peer.database["healthmetrics"], [user], random.Random(1))
        peer.batch.drain(StopFlag())
        found = peer.database["analytics"].find(
            {"userId": user}, {"_id": 0, "metadata": 0, "updatedAt": 0, "createdAt": 0}
        )
        results.append({f"{d['metricType']} {d['timeRange']}": d for d in found})
    for key in results[0].keys() | results[1].keys():
        where = difference(results[0].get(key, {}), results[1].get(key, {}))
        if where:
            raise RuntimeError(f"Spark and polars differ in {where} of {key}: a time would mean nothing")


def connector(uri: str, database: str, users: int, days: int, changes: list[int]) -> dict[int, float]:
    """Median milliseconds of the connector's batch by number of changed users, from a process of its own."""
    arguments = [uri, database, str(users), str(days), json.dumps(changes), str(_CONNECTOR_ROUNDS)]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.connector_peer", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f"the connector's process failed:\n{run.stderr[-2000:]}")
    return {int(n): median(seconds) * 1000 for n, seconds in json.loads(run.stdout.splitlines()[-1]).items()}


class Bench:
    """One run: fills the databases, measures, prints."""

    def __init__(self, uri: str, users: int, days: int, changes: list[int], out: Console) -> None:
        self._uri, self._days, self._changes, self._out = uri, days, changes, out
        self._client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True)
        self._users = users
        self._table = Table(
            "changed", "batch ms", "polars", "ratio", "connector", "docs/s", "CPU ms", "steps ms"
        )
        self._verdicts = Verdicts(out)

    def run(self, with_connector: bool) -> None:
        """Measure everything and print the table and the verdicts."""
        others = (
            connector(self._uri, self._name(self._users), self._users, self._days, self._changes)
            if with_connector
            else {}
        )
        fewer = max(self._changes[-1], self._users // 10)
        large, small = self._filled(self._users), self._filled(fewer)
        with tempfile.TemporaryDirectory() as name:
            spark, folder = build_session(load(env_file=None).spark, streaming=True), Path(name)
            ours = spark_peer(spark, large, folder / "ours")
            polars = polars_batch(spark, large, folder / "polars")
            ours_of_fewer = spark_peer(spark, small, folder / "fewer")
            peers, watch = (ours, polars, ours_of_fewer), Stopwatch(spark)
            for peer in peers:
                peer.start()
            self._idle(spark, ours, folder)
            check_equal([ours, polars], user_ids(1)[0])
            for number in self._changes:
                # All in the same rounds: Java compiles for minutes, and who comes later is faster for it.
                turns = take_turns(peers, watch, random.Random(number).sample(user_ids(fewer), number))
                self._row(number, turns, others.get(number))
                ratio = turns[0].milliseconds() / turns[2].milliseconds()
                self._verdicts.judge(
                    f"{self._users} users / {fewer}, {number} changed", ratio, " ×", most=1.15
                )
            spark.stop()
        self._out.print(self._table)
        self._verdicts.end()

    def _name(self, users: int) -> str:
        return f"bench_{users}_{self._days}"

    def _filled(self, users: int) -> Database[dict[str, Any]]:
        database = self._client[self._name(users)]
        self._out.print(f"{users} users × {self._days} days …")
        fill(database, users, self._days)
        return database

    def _idle(self, spark: SparkSession, ours: Peer, folder: Path) -> None:
        job = whole_job(spark, ours.database, ours, folder)
        idle, floor = idle_and_floor(spark, folder / "ticker", lambda: job.once(StopFlag()))
        self._out.print(f"idle poll {idle:.0f} ms, empty foreachBatch {floor:.0f} ms")
        self._verdicts.judge("idle poll above the floor", idle - floor, " ms", most=5)

    def _row(self, number: int, turns: list[Turns], other: float | None) -> None:
        ours, polars = turns[0], turns[1]
        ratio = ours.milliseconds() / polars.milliseconds()
        steps = " ".join(f"{name} {ours.step(name):.0f}" for name in ours.steps[0] if ours.step(name) >= 0.5)
        steps += f" (polars computes in {polars.step('compute'):.0f})"
        line = f"{number} changed: ours {ours.milliseconds():.0f} ms, polars {polars.milliseconds():.0f} ms"
        self._out.print(line, highlight=False)
        self._table.add_row(
            str(number), f"{ours.milliseconds():.0f}", f"{polars.milliseconds():.0f}", f"{ratio:.2f}",
            "" if other is None else f"{other:.0f}", f"{ours.documents / ours.milliseconds() * 1000:.0f}",
            f"{median(ours.cpu) * 1000:.0f}", steps,
        )  # fmt: skip
        if number == 1:
            self._verdicts.judge("1 changed user", ours.milliseconds(), " ms", most=250)
        elif number in _AGAINST_POLARS:
            self._verdicts.judge(
                f"{number} changed, against polars", ratio, " ×", most=_AGAINST_POLARS[number]
            )
        if other is not None:
            ratio = ours.milliseconds() / other
            self._verdicts.judge(f"{number} changed, against the connector", ratio, " ×", most=1)


def main(
    uri: Annotated[str, typer.Option(envvar="MONGO_TEST_URI", help="A server to fill with test data.")],
    users: Annotated[int, typer.Option(help="Users in the larger database.")] = 10_000,
    days: Annotated[int, typer.Option(help="Days of history for each user.")] = 180,
    changed: Annotated[str, typer.Option(help="Changed users per batch.")] = "1,100,1000",
    with_connector: Annotated[bool, typer.Option("--connector/--no-connector")] = True,
) -> None:
    """Measure the health batch, in milliseconds (medians), against polars, the connector and its budgets."""
    logs.configure("ERROR")
    changes = [int(number) for number in changed.split(",")]
    Bench(uri, users, days, changes, Console(width=160)).run(with_connector)


if __name__ == "__main__":
    # On a cluster it is another measurement, with options of its own.
    if sys.argv[1:2] == ["--scale"]:
        del sys.argv[1]
        typer.run(scale.main)
    typer.run(main)
