"""Only recent days are read where older ones are known: the results are those of whole histories."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from pymongo.database import Database
from pyspark.sql import SparkSession

from pipelines.engine.stop_flag import StopFlag
from tests.integration.test_any_cutting import pipeline
from tests.support.compare import assert_same_analytics
from tests.support.reference import reference_analytics
from tests.support.strategies import new_id

_DAYS, _USERS, _ROUNDS = 500, 12, 8


def _day(back: int) -> datetime:
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=back)


def _document(rng: random.Random, user: Any, back: int) -> dict[str, Any]:
    metrics = {"steps": rng.choice([500, 5_000, 5_000, 5_000, 5_000, 5_000, 9_000])}
    # Some have not been weighed for long.
    if rng.random() < 0.1 and back > 30 * (user.binary[-1] % 12):
        metrics["weight"] = rng.randrange(60, 80)
    moment = datetime.now(timezone.utc)
    return {"userId": user, "date": _day(back), "metrics": metrics, "source": "manual", "updatedAt": moment}


def _edit(rng: random.Random, source: Any, user: Any) -> None:
    """A sync of some recent days, or a correction of any day; and days that vanish silently."""
    back = rng.choice([0, 0, 1, 100, rng.randrange(_DAYS)])
    for each in range(back, back + rng.choice([1, 1, 5])):
        source.replace_one({"userId": user, "date": _day(each)}, _document(rng, user, each), upsert=True)
    if rng.random() < 0.3:
        source.delete_one({"userId": user, "date": _day(rng.randrange(150))})


def _assert_pasts_are_true(database: Database[dict[str, Any]]) -> None:
    """Each result tells of its own user's older days what they hold."""
    for one in database["analytics"].find({"metadata.past": {"$exists": True}}):
        past = one["metadata"]["past"]
        mine = {"userId": one["userId"], "date": {"$lt": past["before"]}}
        older = {each["date"]: each["metrics"] for each in database["healthmetrics"].find(mine)}
        longest = running = 0
        for back in range(_DAYS + 1, 0, -1):
            moved = older.get(_day(back), {}).get("steps", 0) > 1_000
            running = running + 1 if moved else 0 if _day(back) < past["before"] else running
            longest = max(longest, running)
        metrics = sorted({name for each in older.values() for name in each})
        streaks = [{"steps": days} if days else {} for days in (longest, running)]
        assert [past["longest"], past["running"], past["metrics"]] == [*streaks, metrics]


def test_results_are_those_of_whole_histories(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """Over syncs, corrections of old days and deletions; in most batches a part of the days is read."""
    rng = random.Random(random.randrange(10**9))
    users, source = [new_id(rng) for _ in range(_USERS)], database["healthmetrics"]
    source.insert_many(_document(rng, user, back) for user in users for back in range(_DAYS) if back % 97)
    job = pipeline(spark, database, tmp_path, page_size=10_000)
    rows = []
    for turn in range(_ROUNDS):
        for user in rng.sample(users, 6) if turn else ():
            _edit(rng, source, user)
        if turn == _ROUNDS // 2:
            job = pipeline(spark, database, tmp_path, page_size=10_000)
        assert job.batch.drain(StopFlag())
        expected = reference_analytics(list(source.find()), "UTC", datetime.now(timezone.utc).date())
        assert_same_analytics(list(database["analytics"].find()), expected)
        _assert_pasts_are_true(database)
        newest = database["analytics"].find_one(sort=[("calculatedAt", -1)])
        rows.append((newest or {})["metadata"]["dataPointsProcessed"])
    assert rows[0] > _USERS * (_DAYS - 10)
    assert min(rows[1:]) < 6 * 400


def test_another_time_zone_takes_no_past_of_before(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """What older days left was judged by other rules."""
    rng = random.Random(1)
    user, source = new_id(rng), database["healthmetrics"]
    source.insert_many(
        {**_document(rng, user, back), "date": _day(back) + timedelta(hours=23)} for back in range(_DAYS)
    )
    assert pipeline(spark, database, tmp_path).batch.drain(StopFlag())
    source.insert_one({**_document(rng, user, 0), "date": _day(0)})
    moved = pipeline(spark, database, tmp_path, analytics_timezone="Asia/Tokyo")
    assert moved.batch.drain(StopFlag())
    expected = reference_analytics(list(source.find()), "Asia/Tokyo", datetime.now(timezone.utc).date())
    assert_same_analytics(list(database["analytics"].find()), expected)
