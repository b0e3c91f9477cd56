"""Who is measured: this service as it runs, and the script that a user would write instead of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pyspark.sql import SparkSession

from benchmarks import polars_script
from benchmarks.common import folders
from contracts import BatchReport
from contracts.health import SOURCE_COLLECTION
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import HealthPipeline, assemble
from pipelines.health.polling import open_poll
from pipelines.health.stores import open_cursor, open_database
from settings import load
from sinks.health.indexes import ensure_indexes

_Results = dict[str, dict[str, Any]]
_TIMES = ("calculatedAt", "expiresAt")
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
_RUN_FIELDS = dict.fromkeys(("_id", "metadata", "createdAt", "updatedAt"), 0)


class Peer(Protocol):
    """One that keeps the results of a population up to date."""

    population: int
    source: Any
    steps: Mapping[str, float]

    def run(self) -> None:
        """Process what changed in this turn, from the poll to the cursor."""
        ...

    def forget(self, users: Sequence[ObjectId]) -> None:
        """Delete the results of `users`."""
        ...

    def results(self, user: ObjectId) -> _Results:
        """The results of `user`, by metric and range."""
        ...


class Ours:
    """What each trigger of `python main.py` runs, as `main.py` wires it."""

    def __init__(self, spark: SparkSession, uri: str, database: str, population: int, folder: Path) -> None:
        self.population = population
        self.steps: Mapping[str, float] = {}
        self._reports: list[BatchReport] = []
        self.job = self._open(spark, uri, database, folder)
        self.source = self.job.source
        now = self.job.clock.now()
        # The population is older, and only what changes from here on counts.
        self.job.cursor.set(now, now)
        self.job.once(StopFlag())

    def _open(self, spark: SparkSession, uri: str, name: str, folder: Path) -> HealthPipeline:
        settings = load(env_file=None, mongo_uri=uri, mongo_db_name=name, health_port=0, **folders(folder))
        database, clock = open_database(settings)
        source, target = database[SOURCE_COLLECTION], database[settings.analytics_collection]
        cursor = open_cursor(settings)
        poll = open_poll(settings, source, cursor)
        ensure_indexes(target)
        job = assemble(settings, spark, source, target, clock, cursor, poll)
        told = job.batch.on_report

        def report(done: BatchReport) -> None:
            self._reports.append(done)
            told(done)

        job.batch.on_report = report
        return job

    def run(self) -> None:
        """One trigger. Raises RuntimeError when it was not one batch, because its time would mean nothing."""
        self._reports.clear()
        self.job.once(StopFlag())
        if len(self._reports) != 1 or not self._reports[0].success:
            raise RuntimeError(f"a measured batch did not go as planned: {self._reports}")
        self.steps = dict(self._reports[0].steps_ms)

    def forget(self, users: Sequence[ObjectId]) -> None:
        """Delete the results of `users`."""
        self.job.target.delete_many({"userId": {"$in": list(users)}})

    def results(self, user: ObjectId) -> _Results:
        """The results of `user`, by metric and range."""
        return _results(self.job.target, user)


class Script:
    """`polars_script.py`, as cron would run it, without the time that Python takes to start."""

    steps: Mapping[str, float] = {}

    def __init__(self, uri: str, database: str, population: int, folder: Path) -> None:
        self.population = population
        client: MongoClient[dict[str, Any]] = MongoClient(uri)
        self.source, self._target = client[database][SOURCE_COLLECTION], client[database]["analytics_script"]
        polars_script.ensure_index(self._target)
        folder.mkdir(parents=True)
        self._cursor = folder / "cursor"
        self._cursor.write_text(datetime.now(timezone.utc).replace(tzinfo=None).isoformat())

    def run(self) -> None:
        """One run. Raises RuntimeError when it found nothing."""
        if not polars_script.run(self.source, self._target, self._cursor):
            raise RuntimeError("the script found no change, so its time would mean nothing")

    def forget(self, users: Sequence[ObjectId]) -> None:
        """Delete the results of `users`."""
        self._target.delete_many({"userId": {"$in": list(users)}})

    def results(self, user: ObjectId) -> _Results:
        """The results of `user`, by metric and range."""
        return _results(self._target, user)


def _results(target: Any, user: ObjectId) -> _Results:
    found = target.with_options(codec_options=_AWARE).find({"userId": user}, _RUN_FIELDS)
    return {f"{each['metricType']} {each['timeRange']}": each for each in found}


class Stopwatch:
    """Wall and CPU seconds of this process and of its JVM."""

    def __init__(self, spark: SparkSession) -> None:
        gateway: Any = spark.sparkContext._gateway
        self._jvm = Path(f"/proc/{gateway.proc.pid}/stat")

    def time(self, work: Callable[[], object]) -> tuple[float, float]:
        """Wall and CPU seconds of `work`."""
        cpu, began = self._cpu(), time.perf_counter()
        work()
        return time.perf_counter() - began, self._cpu() - cpu

    def _cpu(self) -> float:
        fields = self._jvm.read_text().rpartition(")")[2].split()
        return time.process_time() + (int(fields[11]) + int(fields[12])) / 100


def require_equal(peers: Sequence[Peer], users: Sequence[ObjectId]) -> None:
    """Require the same results of `users` from all `peers`. Raises RuntimeError that names a difference."""
    for user in users:
        first, *others = [peer.results(user) for peer in peers]
        for other in others:
            for key in first.keys() | other.keys():
                where = difference(first.get(key, {}), other.get(key, {}))
                if where or not first:
                    raise RuntimeError(f"the peers differ in {where} of {key}: a time would mean nothing")


def difference(mine: Any, theirs: Any, path: str = "") -> str | None:
    """The path of the first value in which two documents differ by more than rounding, or None."""
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        pairs = {name: (mine.get(name), theirs.get(name)) for name in mine.keys() | theirs.keys()}
    elif isinstance(mine, list) and isinstance(theirs, list) and len(mine) == len(theirs):
        pairs = {str(number): pair for number, pair in enumerate(zip(mine, theirs, strict=True))}
    else:
        return None if path in _TIMES or _same(mine, theirs) else path
    found = (difference(*pair, f"{path}.{name}".lstrip(".")) for name, pair in pairs.items())
    return next(filter(None, found), None)


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return bool(mine == theirs)
