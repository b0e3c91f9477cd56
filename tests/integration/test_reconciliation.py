"""The reconciliation on the real server: whatever no poll can see is found by keys alone, and mended."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pyspark.sql import SparkSession

from contracts import StoppedError
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import HealthPipeline
from pipelines.health.upkeep.drift import DRIFT
from tests.integration.test_any_cutting import METRICS_FILE, pipeline
from tests.support.compare import assert_same_analytics
from tests.support.reference import reference_analytics
from tests.unit.monitoring.test_metrics import samples

Db = Database[dict[str, Any]]
USERS = [ObjectId(bytes([0, number]) * 6) for number in range(1, 9)]
DAYS = 5
NOTHING = dict.fromkeys(DRIFT, 0)
# Later than the overlap, so that no poll finds it.
_LATE = timedelta(minutes=10)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _day(back: int) -> datetime:
    return _now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=back)


def days_of(user: ObjectId, updated: datetime, days: int = DAYS, **fields: Any) -> list[dict[str, Any]]:
    """The last days of one user, each with steps and weight."""
    return [
        {
            "userId": user,
            "date": _day(back),
            "source": "manual",
            "metrics": {"steps": 5_000 + back, "weight": 70},
            "updatedAt": updated,
            **fields,
        }
        for back in range(days)
    ]


def _job(spark: SparkSession, database: Db, folder: Path, **overrides: Any) -> HealthPipeline:
    """Pieces of three users, so that each pass has several."""
    options = {"max_users_per_piece": 3, "reconcile_users_per_second": 0, **overrides}
    return pipeline(spark, database, folder, **options)


@pytest.fixture
def job(spark: SparkSession, database: Db, tmp_path: Path) -> HealthPipeline:
    """A pipeline that has processed eight users, whom a reconciliation found as they should be."""
    database["healthmetrics"].insert_many(
        [one for user in USERS for one in days_of(user, _now() - timedelta(minutes=5))]
    )
    job = _job(spark, database, tmp_path)
    assert job.once(StopFlag())
    job.reconciliation.run(StopFlag())
    return job


def reconciled(job: HealthPipeline, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """A reconciliation now: how many were mended and how many were left, by kind."""
    before = _healed(job, folder)
    job.reconciliation.run(StopFlag())
    after, found = _healed(job, folder), samples(folder / "metrics" / METRICS_FILE)
    left = {kind: found[f"health_reconciliation_drift_users{{{kind}}}"] for kind in DRIFT}
    return {kind: after[kind] - before[kind] for kind in DRIFT}, left


def _healed(job: HealthPipeline, folder: Path) -> dict[str, float]:
    job.reporting.metrics.write()
    found = samples(folder / "metrics" / METRICS_FILE)
    return {kind: found[f"health_reconciliation_healed_users_total{{{kind}}}"] for kind in DRIFT}


def _assert_right(database: Db) -> None:
    expected = reference_analytics(list(database["healthmetrics"].find()), "UTC", _now().date())
    assert_same_analytics(list(database["analytics"].find()), expected)


def test_what_was_processed_is_left_alone(job: HealthPipeline, tmp_path: Path, database: Db) -> None:
    """Nobody is computed again, and no result is touched."""
    found = samples(tmp_path / "metrics" / METRICS_FILE)
    for side in ("source", "analytics"):
        assert found[f"health_reconciliation_users{{{side}}}"] == len(USERS)
    now = job.clock.now().timestamp()
    assert found["health_reconciliation_timestamp_seconds"] == pytest.approx(now, abs=120)
    before = list(database["analytics"].find().sort("_id"))
    batches = len(job.reporting.history.recent())
    assert reconciled(job, tmp_path) == (NOTHING, NOTHING)
    assert list(database["analytics"].find().sort("_id")) == before
    assert len(job.reporting.history.recent()) == batches == 1


def test_each_kind_of_drift_is_mended_and_counted(job: HealthPipeline, tmp_path: Path, database: Db) -> None:
    """And no one else is computed."""
    source, target = database["healthmetrics"], database["analytics"]
    target.delete_many({"userId": USERS[0]})
    target.delete_one({"userId": USERS[1], "metricType": "weight"})
    target.update_one({"userId": USERS[2], "metricType": "steps"}, {"$set": {"calculatedAt": _day(2)}})
    # Behind all users that are left.
    source.delete_many({"userId": USERS[7]})
    source.delete_one({"userId": USERS[4], "date": _day(1)})
    source.insert_one({**days_of(USERS[5], _now() - _LATE, 1)[0], "date": _day(60)})
    target.update_many({"userId": USERS[6]}, {"$unset": {"metadata": ""}})
    healed, left = reconciled(job, tmp_path)
    wanted = {"missing": 2, "behind": 1, "orphaned": 1, "deleted": 1, "late": 1, "unknown": 1}
    assert (healed, left) == (wanted, NOTHING)
    _assert_right(database)
    assert sum(batch["users"] for batch in job.reporting.history.recent()) == len(USERS) + 7
    told = [batch["noted"] for batch in job.reporting.history.recent() if "noted" in batch]
    assert {kind: sum(each.get(kind, 0) for each in told) for kind in DRIFT} == wanted
    assert reconciled(job, tmp_path) == (NOTHING, NOTHING)


def test_what_is_on_its_way_is_left_to_the_poll(job: HealthPipeline, tmp_path: Path, database: Db) -> None:
    """A change, a new user, and documents that wait for their time or give no result."""
    source, now = database["healthmetrics"], _now()
    source.update_one({"userId": USERS[0], "date": _day(0)}, {"$set": {"metrics.steps": 1, "updatedAt": now}})
    others = [ObjectId() for _ in range(5)]
    source.insert_many(
        [
            *days_of(others[0], now),
            *days_of(others[1], now - timedelta(days=1), source="import"),
            *days_of(others[2], now - timedelta(days=1), metrics={"steps": -1}),
            *days_of(others[3], now - timedelta(days=100)),
            *days_of(others[4], now + timedelta(hours=1)),
        ]
    )
    assert reconciled(job, tmp_path) == (NOTHING, NOTHING)
    source.delete_many({"userId": {"$in": others[3:]}})
    _assert_right(database)


def test_documents_that_vanish_for_many_are_no_deletions(
    spark: SparkSession, database: Db, tmp_path: Path
) -> None:
    """A source that is dropped, or restored in part: the results stay, and it is told."""
    users = [ObjectId() for _ in range(30)]
    documents = [one for user in users for one in days_of(user, _now() - timedelta(minutes=5), 1)]
    database["healthmetrics"].insert_many(documents)
    job = _job(spark, database, tmp_path, max_users_per_piece=100)
    assert job.once(StopFlag())
    results = database["analytics"].count_documents({})
    database["healthmetrics"].delete_many({})
    assert reconciled(job, tmp_path) == (NOTHING, {**NOTHING, "orphaned": len(users)})
    assert database["analytics"].count_documents({}) == results
    database["healthmetrics"].insert_many(documents[2:])
    assert reconciled(job, tmp_path) == ({**NOTHING, "orphaned": 2}, NOTHING)
    _assert_right(database)


def test_results_of_the_executors_tell_what_they_are_from(
    spark: SparkSession, database: Db, tmp_path: Path, mongo_uri: str
) -> None:
    """Also where a user has no value, and where results come back in several parts."""
    updated = _now() - timedelta(minutes=5)
    documents = [one for user in USERS[1:] for one in days_of(user, updated)]
    database["healthmetrics"].insert_many([*documents, *days_of(USERS[0], updated, source="import")])
    reached = {"mongo_uri": mongo_uri, "mongo_db_name": database.name}
    job = _job(spark, database, tmp_path, executors_from_users=1, executor_partition_users=2, **reached)
    assert job.once(StopFlag())
    assert reconciled(job, tmp_path) == (NOTHING, NOTHING)
    database["healthmetrics"].delete_one({"userId": USERS[2], "date": _day(4)})
    assert reconciled(job, tmp_path) == ({**NOTHING, "deleted": 1}, NOTHING)
    _assert_right(database)


def test_days_before_those_that_are_read_are_compared_too(
    spark: SparkSession, database: Db, tmp_path: Path
) -> None:
    """A change reads recent days only, and cannot know that an old one is gone; the results say what was."""
    user, source = USERS[0], database["healthmetrics"]
    source.insert_many(days_of(user, _now() - timedelta(hours=1), 400))
    job = _job(spark, database, tmp_path)
    assert job.once(StopFlag())
    assert database["analytics"].count_documents({"metadata.past": {"$exists": True}})
    source.delete_one({"userId": user, "date": _day(350)})
    changed = {"$set": {"metrics.steps": 7_000, "updatedAt": _now()}}
    source.update_one({"userId": user, "date": _day(0)}, changed)
    assert reconciled(job, tmp_path) == ({**NOTHING, "deleted": 1}, NOTHING)
    _assert_right(database)
    source.update_one({"userId": user, "date": _day(0)}, changed)
    source.insert_one({**days_of(user, _now(), 1)[0], "date": _day(-1)})
    assert reconciled(job, tmp_path) == (NOTHING, NOTHING)
    _assert_right(database)


def test_a_day_that_was_in_the_future_counts_when_it_comes(
    job: HealthPipeline, tmp_path: Path, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused when it was polled, and nothing changes it again."""
    database["healthmetrics"].insert_one({**days_of(USERS[0], _now(), 1)[0], "date": _day(-3)})
    assert reconciled(job, tmp_path) == (NOTHING, NOTHING)
    server_now = job.clock._clock.now
    monkeypatch.setattr(job.clock._clock, "now", lambda: server_now() + timedelta(days=2))
    healed, left = reconciled(job, tmp_path)
    assert (healed, left) == ({**NOTHING, "late": 1}, NOTHING)


def test_who_could_not_be_mended_is_told(
    job: HealthPipeline, tmp_path: Path, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that is refused, or a user who is set aside: nothing has changed after the computation."""
    database["healthmetrics"].delete_one({"userId": USERS[4], "date": _day(1)})
    pieces = job.reconciliation.pieces
    idle = SimpleNamespace(clock=pieces.clock, recompute=pieces.recompute, run=lambda *_: None)
    with monkeypatch.context() as patch:
        patch.setattr(job.reconciliation, "pieces", idle)
        assert reconciled(job, tmp_path) == (NOTHING, {**NOTHING, "deleted": 1})
    assert reconciled(job, tmp_path) == ({**NOTHING, "deleted": 1}, NOTHING)


def test_a_full_pass_mends_what_others_changed_in_a_result(
    job: HealthPipeline, tmp_path: Path, database: Db
) -> None:
    """Also under the hash of its content; keys and times alone do not tell."""
    changed = {"userId": USERS[0], "metricType": "steps", "timeRange": "90day"}
    database["analytics"].update_one(changed, {"$set": {"historicalData": []}})
    assert reconciled(job, tmp_path) == (NOTHING, NOTHING)
    job.full.run(StopFlag())
    _assert_right(database)


def test_it_is_due_once_an_interval_over_restarts(tmp_path: Path, spark: SparkSession, database: Db) -> None:
    """Counted from the first start, and by the checkpoint; at 0 there is none."""
    database["healthmetrics"].insert_many(days_of(USERS[0], _now() - timedelta(minutes=5)))
    never, seldom, often = (
        _job(spark, database, tmp_path, reconcile_interval_hours=hours) for hours in (0, 24, 1e-6)
    )
    assert never.once(StopFlag())
    database["healthmetrics"].delete_many({})
    for job, left in ((never, 6), (seldom, 6), (often, 0)):
        assert job.once(StopFlag())
        assert database["analytics"].count_documents({}) == left


def test_unseen_documents_are_counted_by_kind(job: HealthPipeline, tmp_path: Path, database: Db) -> None:
    """The census' numbers: no date, the wrong type, a day ahead."""
    for updated, many in ((None, 3), ("2026-01-01", 2), (_now() + timedelta(days=3), 4)):
        database["healthmetrics"].insert_many(
            [{"userId": ObjectId(), "updatedAt": updated} for _ in range(many)]
        )
    reconciled(job, tmp_path)
    found = samples(tmp_path / "metrics" / METRICS_FILE)
    kinds = ("missing", "wrong_type", "far_future", "unreadable_date")
    assert [found[f"health_unseen_documents{{{kind}}}"] for kind in kinds] == [3, 2, 4, 0]


class _DiedError(BaseException):
    """Stands for the end of the process."""


@contextmanager
def _dying(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, at: int) -> Iterator[None]:
    """The process ends at the n-th call of `where.name`; nothing after it happens."""
    calls, real = [0], getattr(where, name)

    def call(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == at:
            raise _DiedError
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, call)
        yield


def _act(database: Db, rng: random.Random, action: str) -> None:
    """One thing that happens to the source or to the results."""
    source, target = database["healthmetrics"], database["analytics"]
    user, back = rng.choice(USERS[:4]), rng.choice([0, 1, 2, 250, 260])
    document = {
        "userId": user, "date": _day(back), "source": rng.choice(["manual", "manual", "import"]),
        "metrics": {"steps": rng.choice([0, 1_500, 9_000]), "weight": rng.choice([None, 70.0])},
        "updatedAt": _now() - (_LATE if action == "late" else timedelta(0)),
    }  # fmt: skip
    acts: dict[str, Callable[[], object]] = {
        "write": lambda: source.replace_one({"userId": user, "date": _day(back)}, document, upsert=True),
        "late": lambda: source.replace_one({"userId": user, "date": _day(back)}, document, upsert=True),
        "delete": lambda: source.delete_one({"userId": user, "date": _day(back)}),
        "leave": lambda: source.delete_many({"userId": user}),
        "lose": lambda: target.delete_many({"userId": user}),
        "lose one": lambda: target.delete_one({"userId": user}),
    }
    acts[action]()


_ACTIONS = ["write", "write", "late", "delete", "leave", "lose", "lose one", "poll", "kill", "die", "stop"]


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 10**6), actions=st.lists(st.sampled_from(_ACTIONS), min_size=3, max_size=14))
def test_after_one_reconciliation_the_results_are_the_reference(
    spark: SparkSession, database: Db, tmp_path: Path, seed: int, actions: list[str]
) -> None:
    """For all users, whatever was written, deleted and killed before, also in the middle of another one."""
    rng, folder, patches = random.Random(seed), tmp_path / uuid.uuid4().hex, pytest.MonkeyPatch()
    database["healthmetrics"].delete_many({})
    database["analytics"].delete_many({})
    database["healthmetrics"].insert_many(
        [one for user in USERS[:3] for one in days_of(user, _now(), rng.choice([3, 300]))]
    )
    job = _job(spark, database, folder, max_users_per_piece=1)
    for action in actions:
        if action == "poll":
            assert job.batch.drain(StopFlag())
        elif action == "die":
            where = rng.choice([(job.reconciliation.progress, "advance"), (job.batch, "_process")])
            with _dying(patches, *where, rng.randrange(1, 4)), suppress(_DiedError):
                job.reconciliation.run(StopFlag())
        elif action == "stop":
            _stopped_in_between(job, patches)
        elif action != "kill":
            _act(database, rng, action)
        if action in ("kill", "die", "stop"):
            job = _job(spark, database, folder, max_users_per_piece=1)
    # What a resumed one had behind it may have changed since: that is the next one's.
    if job.reconciliation.progress.was_left(_now()):
        job.reconciliation.run(StopFlag())
    job.reconciliation.run(StopFlag())
    _assert_right(database)


def _stopped_in_between(job: HealthPipeline, patches: pytest.MonkeyPatch) -> None:
    stop, real = StopFlag(), job.reconciliation.progress.advance

    def advance(users: Any, wait: Any) -> None:
        real(users, wait)
        stop.set()

    with patches.context() as patch, suppress(StoppedError):
        patch.setattr(job.reconciliation.progress, "advance", advance)
        job.reconciliation.run(stop)


def test_a_killed_one_goes_on_where_it_was(
    job: HealthPipeline, tmp_path: Path, spark: SparkSession, database: Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once after the restart; who was compared is not compared again, and nobody is passed over."""
    database["healthmetrics"].delete_many({"userId": {"$in": [USERS[0], USERS[7]]}})
    with _dying(monkeypatch, job.reconciliation.progress, "advance", 2), pytest.raises(_DiedError):
        job.reconciliation.run(StopFlag())
    assert database["analytics"].distinct("userId") == sorted(USERS[1:])
    again = _job(spark, database, tmp_path)
    assert again.once(StopFlag())
    found = samples(tmp_path / "metrics" / METRICS_FILE)
    # Six are left, and three of them were done.
    assert found["health_reconciliation_users{source}"] == 3
    _assert_right(database)
