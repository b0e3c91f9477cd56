"""Measures the health job on a real standalone Spark cluster, and how fast it reads.

Each run: one document of every user has changed, and `main.py --once` recomputes all on the executors.
Master, workers, driver and database share this machine.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import typer
from pymongo import MongoClient
from pymongo.database import Database
from rich.console import Console

from benchmarks.figures import Figures
from benchmarks.memory import family, watch
from benchmarks.peers import difference
from benchmarks.population import fill, user_ids
from benchmarks.reads import measure_reads
from tests.support.spark_cluster import SparkCluster, spark_cluster

_SUBMIT = "--driver-memory 512m --executor-memory 512m pyspark-shell"
_COMPARED_AT_ONCE = 500
_READ_USERS, _READ_DAYS = 500, 180
# Twice what it was, and as much as it was, on two cores.
_LEAST_USERS, _MOST_MB = 284, 214
_KINDS = ("driver", "driver's Java", "executor's Java", "executor's Python")
_IGNORED = dict.fromkeys(("_id", "metadata", "calculatedAt", "expiresAt", "createdAt", "updatedAt"), 0)


@dataclass(frozen=True)
class Run:
    """One run: whole seconds, those in batches, those of reading in them, and MB by kind of process."""

    seconds: float
    in_batches: float
    reading: float
    batches: int
    computed: int
    memory: dict[str, int]


def run(uri: str, database: str, target: str, cluster: SparkCluster) -> Run:
    """One `main.py --once` on `cluster`, into the collection `target`. Raises RuntimeError when it fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        since = _midnight() - timedelta(hours=1, minutes=1)
        (folder / "checkpoint_location").mkdir()
        (folder / "checkpoint_location" / "last_processed_timestamp.txt").write_text(since.isoformat())
        environment = {
            "MONGO_URI": uri,
            "MONGO_DB_NAME": database,
            "ANALYTICS_COLLECTION": target,
            "EXECUTORS_FROM_USERS": "1",
            "RECONCILE_INTERVAL_HOURS": "0",
            "SPARK_MASTER": cluster.master,
            "PYSPARK_SUBMIT_ARGS": _SUBMIT,
        }
        seconds, largest = watch(
            ["main.py", "--once"], folder, environment, lambda pid: _memory(pid, cluster)
        )
        files = (folder / "log_directory").glob("batch_logs_*.jsonl")
        entries = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    in_batches = sum(entry["processing_time_ms"] for entry in entries) / 1000
    reading = sum(entry["steps_ms"].get("read", 0.0) for entry in entries) / 1000
    computed = sum(entry["analytics_inserted"] for entry in entries)
    return Run(seconds, in_batches, reading, len(entries), computed, dict.fromkeys(_KINDS, 0) | largest)


def _memory(driver: int, cluster: SparkCluster) -> Iterator[tuple[str, int]]:
    for pid, java, megabytes in family(driver):
        if java or pid == driver:
            yield "driver" if pid == driver else "driver's Java", megabytes
    for worker in cluster.worker_pids:
        for pid, java, megabytes in family(worker):
            if pid != worker:
                yield "executor's Java" if java else "executor's Python", megabytes


def check_equal(database: Database[dict[str, Any]], targets: list[str], users: int) -> None:
    """Require the same analytics in all `targets`. Raises RuntimeError that names the first difference."""
    ids = user_ids(users)
    for start in range(0, users, _COMPARED_AT_ONCE):
        wanted = {"userId": {"$in": ids[start : start + _COMPARED_AT_ONCE]}}
        first, *others = (
            {(d["userId"], d["metricType"], d["timeRange"]): d for d in database[name].find(wanted, _IGNORED)}
            for name in targets
        )
        for other in others:
            for key in first.keys() | other.keys():
                where = difference(first.get(key, {}), other.get(key, {}))
                if where or not first:
                    raise RuntimeError(f"the runs differ in {where} of {key}: a time would mean nothing")


def _midnight() -> datetime:
    return datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)


def main(
    uri: Annotated[str, typer.Option(envvar="MONGO_TEST_URI", help="A server to fill with test data.")],
    users: Annotated[str, typer.Option(help="Changed users, all there are.")] = "1000,10000",
    days: Annotated[int, typer.Option(help="Days of history for each user.")] = 30,
    workers: Annotated[str, typer.Option(help="Workers, each with one core and one executor.")] = "1,2",
    only_steps: Annotated[bool, typer.Option("--only-steps", help="Three results a user, not 24.")] = False,
    reads: Annotated[bool, typer.Option("--reads/--no-reads", help="Measure reading alone, too.")] = True,
) -> None:
    """Seconds, documents a second and memory of one run each; equal results are checked."""
    out = Console(width=160)
    client: MongoClient[dict[str, Any]] = MongoClient(uri, tz_aware=True)
    figures, rows = Figures(out, "health on a cluster"), []
    counts, targets = (
        [int(count) for count in users.split(",")],
        [f"analytics_{n}" for n in workers.split(",")],
    )
    for count in counts:
        database = client[f"bench_scale_{count}_{days}{'_steps' * only_steps}"]
        out.print(f"{count} users × {days} days …")
        source = fill(database, count, days, spread=True, only_steps=only_steps)
        for target in targets:
            database[target].drop()
            with tempfile.TemporaryDirectory() as folder:
                number = int(target.rpartition("_")[2])
                with spark_cluster(Path(folder), number) as cluster:
                    done = run(uri, database.name, target, cluster)
            rows.append([
                f"{count:,}", str(number), str(done.batches), f"{done.seconds:.0f}", f"{done.in_batches:.1f}",
                f"{count / done.in_batches:.0f}", f"{count * days / done.reading:,.0f}",
                f"{done.computed / done.in_batches:,.0f}", *(str(done.memory[kind]) for kind in _KINDS),
            ])  # fmt: skip
            _judge(figures, count, number, done)
            out.print(f"{count} users, {number} workers: {done}", highlight=False)
        check_equal(database, targets, count)
    columns = ["users", "workers", "batches", "seconds", "in batches", "users/s", "documents read/s",
               "results written/s", *(f"{kind}, MB" for kind in _KINDS)]  # fmt: skip
    figures.table(f"All users changed, {days} days each", columns, rows)
    if reads:
        source = fill(client["bench_scale_reads"], _READ_USERS, _READ_DAYS, spread=True)
        measure_reads(source, user_ids(_READ_USERS), _midnight() - timedelta(days=30), figures)
    figures.end()


def _judge(figures: Figures, users: int, workers: int, done: Run) -> None:
    if (users, workers) == (10_000, 2):
        figures.judge("10,000 users, 2 workers, users/s", users / done.in_batches, "", least=_LEAST_USERS)
    if users >= 100_000:
        figures.judge(f"{users:,} users, the driver's Python", done.memory["driver"], " MB", most=_MOST_MB)
