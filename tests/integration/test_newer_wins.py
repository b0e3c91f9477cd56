"""Newer wins, whatever the interleaving: the driver's writer, the executors' and a full pass in steps."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection
from pymongo.database import Database
from pyspark.sql import SparkSession

import pipelines.health.recompute.executor_tasks
import sinks.health.newer_wins
from analytics.health.schemas import RESULT_SCHEMA
from checkpoint.cursor import FileCursor
from contracts.health import PHONE_SOURCES
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.recompute.executor_tasks import Calculation, write_partition
from pipelines.health.recompute.on_driver import UserRecompute
from pipelines.health.recompute.task_plan import TaskPlan
from pipelines.health.upkeep.full_pass import FullPass
from pipelines.health.upkeep.pass_progress import PassProgress
from pipelines.health.upkeep.pieces import Pieces
from sinks.dead_letters import DeadLetters
from sinks.health.indexes import ensure_indexes
from sinks.health.newer_wins import NewerWins
from sources.mongo_client import MonotonicClock, ServerClock, for_reading
from tests.support.turns import Turns

USERS = sorted(ObjectId() for _ in range(3))
# No documents are theirs: of the first not any more, of the others never.
GONE = ObjectId()
# Documents of another program, which are no results.
FOREIGN: list[dict[str, Any]] = [
    {},
    {"userId": USERS[0]},
    {"userId": GONE, "timeRange": "7day"},
    {"userId": "a"},
]
STRANGERS: list[Any] = ["text", 7, uuid.UUID(int=7), {"$oid": "0" * 24}, [ObjectId(), ObjectId()]]
_COMMON, _SOMETIMES = ("steps", "calories"), "weight"
# Its value returns to what it was, so that results have the content of earlier ones; the others' never does.
_RETURNING = "steps"
Kept = dict[tuple[Any, ...], Any]
# What a calculation read: the returning value, and the other.
Read = tuple[float, float]


def _row(user: int, metric: str, value: float) -> dict[str, Any]:
    numbers = {
        field.name: 0
        for field in RESULT_SCHEMA
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    }
    without_anomaly = dict.fromkeys(("anomaly_day", "streak_start"))
    text = {"metric": metric, "range": "7day", "trend": "stable", "is_improvement": None}
    return {
        **numbers, **without_anomaly, **text, "user": user, "mean": value, "count": 1,
        "history_days": [20_000], "history_values": [value],
    }  # fmt: skip


def _of(metric: str, read: Read) -> float:
    return read[metric != _RETURNING]


def _results(metrics: tuple[str, ...], read: Read) -> pa.Table:
    rows = [_row(user, metric, _of(metric, read)) for user in range(len(USERS)) for metric in metrics]
    return pa.Table.from_pylist(rows, RESULT_SCHEMA)


class Race:
    """Writers on one database; every command is a step, and after each step the results are looked at."""

    def __init__(self, database: Database[dict[str, Any]], folder: Path) -> None:
        self._database, self._folder = database, folder
        self._target = for_reading(database["analytics"])
        self._clock = ServerClock(database.client)
        # The data, which change at each step.
        self._version, self._returning = 0, 0
        # What each writer calculated from, by its calculatedAt; two may share one.
        self.calculated: dict[datetime, set[Read]] = {}
        self._writers: list[Turns] = []
        self._seen: Kept = {}

    def seed(self, stored: Any) -> None:
        """Begin anew: each key has a result with this calculatedAt, or none if it is None.

        If it is "calculated", they are the results of a calculation, and of nobody else.
        """
        self.end()
        self.calculated, self._writers, self._seen = {}, [], {}
        for name in ("analytics", "healthmetrics"):
            self._database[name].delete_many({})
        self._database["healthmetrics"].insert_many({"userId": user} for user in USERS)
        self._database["analytics"].insert_many({**foreign, "event": "login"} for foreign in FOREIGN)
        if stored == "calculated":
            self.start("driver", (*_COMMON, _SOMETIMES))
            self.finish([])
            self._writers = []
        elif stored is not None:
            dated = {} if stored == "absent" else {"calculatedAt": stored}
            self._database["analytics"].insert_many(
                {"userId": user, "metricType": metric, "timeRange": "7day", **dated}
                for user in [*USERS, GONE, *STRANGERS]
                for metric in (*_COMMON, _SOMETIMES, "of an older program", ["in an array"])
            )
        self._seen = self._dates()

    def end(self) -> None:
        """Nobody stands still any more."""
        for writer in self._writers:
            writer.free()

    def start(self, kind: str, metrics: tuple[str, ...]) -> None:
        """A writer that has not asked for the time yet."""
        run = {"driver": self._driver, "executors": self._executors, "full": self._full}[kind]
        self._writers.append(Turns(partial(run, metrics)))

    def step(self, number: int, returning: int | None = None) -> bool:
        """One command of that writer; what it did is judged. Before it the returning value may change."""
        before = self._seen
        self._version += 1
        self._returning = self._returning if returning is None else returning
        moved = self._writers[number].step()
        after, now = self._dates(), self._clock.now()
        self._seen = after
        for key, date in before.items():
            is_true = isinstance(date, datetime) and date <= now
            assert not is_true or key not in after or after[key] >= date, (key, date, after[key])
        return moved

    def finish(self, order: list[int]) -> None:
        """Every writer comes to its end, those named first in that order."""
        for number in [*order, *range(len(self._writers))]:
            while self.step(number):
                pass
        for writer in self._writers:
            if writer.error:
                raise writer.error

    def stored(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        """The results by key."""
        found = self._target.find({"event": None})
        return {(str(one["userId"]), str(one["metricType"])): one for one in found}

    def foreign(self) -> int:
        """How many documents of the other program there are."""
        return self._target.count_documents({"event": "login"})

    def _dates(self) -> Kept:
        return {key: one.get("calculatedAt") for key, one in self.stored().items()}

    def _noted(self, at: datetime) -> Read:
        read = float(self._returning), float(self._version)
        self.calculated.setdefault(at, set()).add(read)
        return read

    def _driver(self, metrics: tuple[str, ...], turns: Turns) -> None:
        self._recompute(metrics, turns).run(USERS, "batch", lambda _step: None)

    def _full(self, metrics: tuple[str, ...], turns: Turns) -> None:
        folder = self._folder / uuid.uuid4().hex
        clock = MonotonicClock(_Stepped(self._clock, turns))
        FullPass(
            self._database["healthmetrics"],
            turns.collection(self._target),
            Pieces(
                self._recompute(metrics, turns, anew=True),
                DeadLetters(folder / "dlq"),
                clock,
                lambda: "batch",
                lambda _report: None,
            ),
            clock,
            PassProgress(FileCursor(folder), lambda users: users),
        ).run(StopFlag())

    def _recompute(self, metrics: tuple[str, ...], turns: Turns, anew: bool = False) -> UserRecompute:
        clock = _Noting(_Stepped(self._clock, turns))
        spark = cast(
            SparkSession, SimpleNamespace(sparkContext=SimpleNamespace(applicationId="a"), version="4")
        )
        return UserRecompute(
            spark, self._database["healthmetrics"], turns.collection(self._target), clock, "UTC",
            compute=lambda *_: _results(metrics, self._noted(clock.last)), anew=anew,
        )  # fmt: skip

    def _executors(self, metrics: tuple[str, ...], turns: Turns) -> None:
        at = turns.call(self._clock.now)
        results = _results(metrics, self._noted(at))
        plan = TaskPlan("", 1, "UTC", PHONE_SOURCES, partition_users=9)
        work = _Work(plan, self._database.name, "healthmetrics", "analytics", "batch", at, USERS)
        object.__setattr__(work, "door", turns.collection(self._target))
        list(write_partition(work, {}, iter(results.to_batches(max_chunksize=4))))


class _Work(Calculation):
    def collection(self, _name: str) -> Collection[dict[str, Any]]:
        return cast("Collection[dict[str, Any]]", self.__dict__["door"])


class _Stepped:
    def __init__(self, clock: ServerClock, turns: Turns) -> None:
        self._clock, self._turns = clock, turns

    def now(self) -> datetime:
        return cast(datetime, self._turns.call(self._clock.now))


class _Noting(MonotonicClock):
    """Remembers what the calculation's time is."""

    last: datetime

    def next(self) -> datetime:
        self.last = super().next()
        return self.last


@pytest.fixture
def race(
    database: Database[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Race]:
    """Writers with small bulks, so that one write has several."""
    ensure_indexes(database["analytics"])
    small = partial(NewerWins, threads=1, bulk=2)
    for module in (sinks.health.newer_wins, pipelines.health.recompute.executor_tasks):
        monkeypatch.setattr(module, "NewerWins", small)
    race = Race(database, tmp_path)
    yield race
    race.end()


_KINDS = st.sampled_from(["driver", "executors", "full"])
_METRICS = st.sampled_from([_COMMON, (*_COMMON, _SOMETIMES)])
# A writer, the returning value meanwhile, and how many of its commands come in a row.
_TURN = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 25))
_LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
_AHEAD = _LONG_AGO + timedelta(days=40_000)
# None is no result at all. The last two are beyond Python's dates.
_STORED = st.sampled_from(
    [
        *[None, "calculated"] * 4,
        "absent",
        "2026-01-01T00:00:00Z",
        7,
        _LONG_AGO,
        _AHEAD,
        [_AHEAD],
        DatetimeMS(2**53),
        DatetimeMS(-(2**53)),
    ]
)


@settings(
    max_examples=20,
    deadline=None,
    # Each example takes a third of a second, and shrinking takes hundreds.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    stored=_STORED,
    writers=st.lists(st.tuples(_KINDS, _METRICS), min_size=2, max_size=3),
    schedule=st.lists(_TURN, min_size=2, max_size=8),
    last=st.permutations([0, 1]),
)
def test_whatever_the_interleaving_each_key_ends_with_the_latest_calculation(
    race: Race,
    stored: Any,
    writers: list[tuple[str, tuple[str, ...]]],
    schedule: list[tuple[int, int, int]],
    last: list[int],
) -> None:
    """Starts and lengths differ, and any writer may stand still for as long as it likes, at any command.

    A result never goes back to an older calculation, not even for a moment, whether it was inserted, touched,
    updated or upserted; of what was there without a date, or with one in the future, nothing stays. What
    another program keeps there does.
    """
    race.seed(stored)
    for kind, metrics in writers:
        race.start(kind, metrics)
    for number, returning, commands in schedule:
        for _ in range(commands):
            race.step(number % len(writers), returning)
    race.finish(last)
    assert race.foreign() == len(FOREIGN)
    newest = max(race.calculated)
    found = race.stored()
    users = {str(user) for user in USERS}
    for user in users:
        for metric in _COMMON:
            document = found[user, metric]
            assert document["calculatedAt"] == newest
            means = {_of(metric, read) for read in race.calculated[newest]}
            assert document["analytics"]["rollingAverage"] in means
    assert all(one.get("calculatedAt") in race.calculated for key, one in found.items() if key[0] in users)
    if any(kind == "full" for kind, _ in writers):
        assert {user for user, _ in found} == users
