"""Large batches on the executors: the same result as on the driver, also for tasks that run twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from bson import ObjectId
from pydantic import SecretStr
from pymongo.database import Database
from pymongo.errors import AutoReconnect
from pyspark.sql import SparkSession

from analytics.health.compute import compute
from contracts import ServiceError
from contracts.health import PHONE_SOURCES
from contracts.health_metrics import METRICS
from pipelines.health.recompute import on_driver, on_executors
from pipelines.health.recompute.executor_tasks import (
    BASES,
    Calculation,
    failed_writes,
    read_partitions,
    write_partition,
)
from pipelines.health.recompute.isolation import is_of_the_data
from pipelines.health.recompute.on_driver import Recompute, UserRecompute
from pipelines.health.recompute.on_executors import ExecutorRecompute
from pipelines.health.recompute.task_plan import TaskPlan
from pipelines.health.stores import task_plan
from settings import Settings, load
from simulation.health.population import Population
from sinks.health.indexes import ensure_indexes
from sinks.mongo_errors import is_transient_mongo
from sources.mongo_client import MonotonicClock, ServerClock
from tests.support.catalogues import PULSE, catalogue
from tests.support.compare import assert_same_analytics
from tests.support.reference import reference_analytics
from tests.support.toxiproxy import free_port

_USERS = 23


@pytest.fixture
def settings(mongo_uri: str, database: Database[dict[str, Any]], tmp_path: Any) -> Settings:
    """Partitions of five users, so that a small population has several and an incomplete one."""
    return load(
        env_file=None,
        mongo_uri=mongo_uri,
        mongo_db_name=database.name,
        executor_partition_users=5,
        dlq_directory=tmp_path / "dlq",
    )


@pytest.fixture
def users(database: Database[dict[str, Any]]) -> list[ObjectId]:
    """The users of a simulated population, one without documents, and one without usable ones."""
    now = datetime.now(timezone.utc)
    source = database["healthmetrics"]
    ensure_indexes(database["analytics"])
    Population(seed=3, users=_USERS, days=120, today=now.date()).backfill(source, now - timedelta(minutes=5))
    wearable, gone = ObjectId(), ObjectId()
    source.insert_one(
        {"userId": wearable, "date": now, "updatedAt": now, "source": "watch", "metrics": {"steps": 5}}
    )
    return [*source.distinct("userId", {"userId": {"$type": "objectId"}}), gone]


def _step(_name: str) -> None:
    pass


def _clock(database: Database[dict[str, Any]]) -> MonotonicClock:
    return MonotonicClock(ServerClock(database.client))


def _executors(spark: SparkSession, settings: Settings, database: Database[dict[str, Any]]) -> Recompute:
    return ExecutorRecompute(
        spark, task_plan(settings), database["healthmetrics"], database["analytics"], _clock(database)
    )


def _stale(user: ObjectId) -> dict[str, Any]:
    """A document of an earlier calculation that nobody's data produce any more."""
    old = datetime(2020, 1, 1, tzinfo=timezone.utc)
    return {"userId": user, "metricType": "gone", "timeRange": "7day", "calculatedAt": old}


def test_the_executors_equal_the_reference_and_the_driver(
    spark: SparkSession, settings: Settings, database: Database[dict[str, Any]], users: list[ObjectId]
) -> None:
    """Same documents, same counts; obsolete keys go, also of users who have no row left."""
    target = database["analytics"]
    target.insert_many([_stale(user) for user in users])
    done = _executors(spark, settings, database).run(users, "batch_1", _step)
    expected = reference_analytics(
        list(database["healthmetrics"].find()), "UTC", datetime.now(timezone.utc).date()
    )
    assert_same_analytics(list(target.find()), expected)
    assert (done.computed, done.writes.inserted, done.writes.deleted) == (
        len(expected), len(expected), len(users),
    )  # fmt: skip
    content = {"metadata.contentHash": 1, "createdAt": 1}
    before = list(target.find({}, content).sort("_id", 1))
    # The driver alone tells of older days, which are part of what it stores.
    with patch.object(on_driver, "advanced", lambda _history, pasts: pasts):
        again = UserRecompute(spark, database["healthmetrics"], target, _clock(database), "UTC").run(
            users, "batch_2", _step
        )
    assert (again.computed, again.history_rows) == (done.computed, done.history_rows)
    assert again.writes.updated == done.writes.written
    assert_same_analytics(list(target.find()), expected)
    # What the executors wrote the driver touched: equal results have equal hashes, whoever computes them.
    assert list(target.find({}, content).sort("_id", 1)) == before


def test_the_executors_take_the_catalogue_of_the_driver(
    spark: SparkSession, settings: Settings, database: Database[dict[str, Any]], users: list[ObjectId]
) -> None:
    """A worker process knows the shipped one, or that of the task before, until its task tells it."""
    source, target = database["healthmetrics"], database["analytics"]
    source.update_many({"metrics.steps": {"$type": "number"}}, {"$set": {"metrics.restingHeartRate": 58}})
    # The driver's plans for it are kept, and are of no use for another one.
    UserRecompute(spark, source, target, _clock(database), "UTC").run(users[:1], "batch_0", _step)
    with catalogue(PULSE + "[hydration]\nuse = no\n"):
        _executors(spark, settings, database).run(users, "batch_1", _step)
        stored = list(target.find({}, {"metadata.contentHash": 1}).sort("_id", 1))
        assert set(target.distinct("metricType")) == set(METRICS)
        assert "restingHeartRate" in METRICS
        with patch.object(on_driver, "advanced", lambda _history, pasts: pasts):
            UserRecompute(spark, source, target, _clock(database), "UTC").run(users, "batch_2", _step)
        assert list(target.find({}, {"metadata.contentHash": 1}).sort("_id", 1)) == stored
    _executors(spark, settings, database).run(users, "batch_3", _step)
    assert set(target.distinct("metricType")) == set(METRICS)


def _work(settings: Settings, users: Sequence[ObjectId], now: datetime) -> Calculation:
    return Calculation(
        plan=TaskPlan(
            uri=settings.mongo_uri.get_secret_value(),
            timeout_ms=30_000,
            timezone="UTC",
            sources=PHONE_SOURCES,
            partition_users=len(users),
        ),
        database=settings.mongo_db_name,
        source="healthmetrics",
        target="analytics",
        batch_id="batch_1",
        calculated_at=now,
        users=users,
    )


def _results(spark: SparkSession, work: Calculation) -> list[pa.RecordBatch]:
    """What the windows hand to the one partition of `work`."""
    numbers = pa.RecordBatch.from_pydict({"id": [0]})
    history = pa.Table.from_batches(list(read_partitions(work, iter([numbers])))).drop_columns([BASES])
    return list(compute(spark, history, len(work.users)).to_batches())


def test_a_task_that_runs_twice_changes_nothing_and_counts_once(
    spark: SparkSession, settings: Settings, database: Database[dict[str, Any]], users: list[ObjectId]
) -> None:
    """A retried or speculative task finds its own documents; what it reports is what the first would have."""
    now = _clock(database).next()
    work = _work(settings, sorted(users), now)
    batches = _results(spark, work)
    # Half of it is there from an attempt that was killed in the middle.
    half = [batches[0].slice(0, batches[0].num_rows // 2)]
    next(write_partition(work, {}, iter(half)))
    first = next(write_partition(work, {}, iter(batches))).to_pylist()[0]
    stored = list(database["analytics"].find().sort("_id", 1))
    second = next(write_partition(work, {}, iter(batches))).to_pylist()[0]
    assert list(database["analytics"].find().sort("_id", 1)) == stored
    assert first == second
    assert (first["inserted"], first["skipped"]) == (len(stored), 0)


def test_a_newer_calculation_is_not_overwritten(
    spark: SparkSession, settings: Settings, database: Database[dict[str, Any]], users: list[ObjectId]
) -> None:
    """A task that was lost and comes back late changes nothing, and says so."""
    now = _clock(database).now()
    late = _work(settings, sorted(users), now - timedelta(seconds=10))
    _executors(spark, settings, database).run(users, "batch_2", _step)
    before = list(database["analytics"].find().sort("_id", 1))
    outcome = next(write_partition(late, {}, iter(_results(spark, late)))).to_pylist()[0]
    assert list(database["analytics"].find().sort("_id", 1)) == before
    assert (outcome["inserted"], outcome["updated"], outcome["skipped"]) == (0, 0, len(before))


def test_what_has_an_array_in_its_key_makes_way_and_is_counted(
    spark: SparkSession, settings: Settings, database: Database[dict[str, Any]], users: list[ObjectId]
) -> None:
    """As on the driver."""
    work = _work(settings, sorted(users), _clock(database).next())
    odd = {"userId": [min(users)], "metricType": "steps", "timeRange": "7day"}
    database["analytics"].insert_one({**odd, "calculatedAt": work.calculated_at})
    outcome = next(write_partition(work, {}, iter(_results(spark, work)))).to_pylist()[0]
    assert (outcome["inserted"], outcome["skipped"], outcome["deleted"]) == (outcome["computed"], 0, 1)


def test_failed_documents_come_back_with_the_number_of_their_users(
    spark: SparkSession, settings: Settings, database: Database[dict[str, Any]], users: list[ObjectId]
) -> None:
    """A task stores no letter: it cannot know how many others have failed. Older documents stay."""
    target = database["analytics"]
    users = sorted(users)
    work = _work(settings, users, _clock(database).next())
    batches = _results(spark, work)
    kept = {"userId": users[0], "metricType": "steps", "timeRange": "7day"}
    target.insert_one({**kept, "calculatedAt": datetime(2020, 1, 1, tzinfo=timezone.utc)})
    # No document with this number can be encoded.
    outcome = next(write_partition(work, {"dataPointsProcessed": 2**70}, iter(batches))).to_pylist()[0]
    back = failed_writes(outcome["failed"])
    assert len(back) == outcome["computed"]
    assert all("cannot be encoded" in failed.reason for failed in back)
    assert outcome["refused"] == len({failed.document["userId"] for failed in back}) == _USERS
    assert (outcome["inserted"], outcome["updated"], outcome["skipped"]) == (0, 0, 0)
    assert [document["userId"] for document in target.find()] == [users[0]]


@pytest.mark.parametrize("held", [0, 1_000])
def test_what_the_driver_cannot_hold_fails_the_batch_and_all_else_comes_back(
    spark: SparkSession,
    settings: Settings,
    database: Database[dict[str, Any]],
    users: list[ObjectId],
    monkeypatch: pytest.MonkeyPatch,
    held: int,
) -> None:
    """Twenty-three of twenty-five users are too many to be set aside."""
    monkeypatch.setattr(on_executors, "run_metadata", lambda *_: {"dataPointsProcessed": 2**70})
    monkeypatch.setattr(on_executors, "_REFUSED_USERS", held)
    executors = _executors(spark, settings, database)
    if held:
        failed = executors.run(users, "batch_1", _step).writes.failed
        assert len({write.document["userId"] for write in failed}) == _USERS
    else:
        with pytest.raises(ServiceError, match=r"Results of 23 of 25 users cannot be stored \(cannot be enc"):
            executors.run(users, "batch_1", _step)


def test_a_server_that_is_away_is_no_fault_of_the_data(
    spark: SparkSession, settings: Settings, database: Database[dict[str, Any]], users: list[ObjectId]
) -> None:
    """The driver sees the tasks' outage as its own: the batch is tried again and nobody is suspected."""
    nowhere = settings.model_copy(
        update={"mongo_uri": SecretStr(f"mongodb://127.0.0.1:{free_port()}"), "mongo_timeout_seconds": 0.5}
    )
    with pytest.raises(AutoReconnect, match="an executor met ServerSelectionTimeoutError") as caught:
        _executors(spark, nowhere, database).run(users, "batch_1", _step)
    assert is_transient_mongo(caught.value)
    assert not is_of_the_data(caught.value)


def test_a_user_with_a_very_long_history_does_not_stall_a_batch(
    spark: SparkSession, settings: Settings, database: Database[dict[str, Any]], users: list[ObjectId]
) -> None:
    """10 000 days of one user are one partition's work, and the result is the reference's."""
    source, now = database["healthmetrics"], datetime.now(timezone.utc)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    source.insert_many(
        {
            "userId": users[-1],
            "date": day - timedelta(days=back),
            "metrics": {"steps": 4_000 + back % 7_000},
            "source": "manual",
            "updatedAt": now,
        }
        for back in range(10_000)
    )
    done = _executors(spark, settings, database).run(users, "batch_1", _step)
    assert done.history_rows > 10_000
    expected = reference_analytics(list(source.find()), "UTC", now.date())
    assert_same_analytics(list(database["analytics"].find()), expected)
