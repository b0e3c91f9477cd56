"""Whole batches on the real server: clocks that jump, days of 23 and 25 hours, huge documents."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pyspark.sql import SparkSession

from pipelines.engine.stop_flag import StopFlag
from tests.integration.test_any_cutting import pipeline
from tests.support.compare import assert_same_analytics
from tests.support.reference import reference_analytics
from tests.support.strategies import new_id

_MEGABYTE = 1_000_000


def _days(user: ObjectId, moments: list[datetime], updated: datetime) -> list[dict[str, Any]]:
    return [
        {
            "_id": ObjectId(),
            "userId": user,
            "date": moment,
            "metrics": {"steps": 1_500 + 10 * number},
            "source": "manual",
            "updatedAt": updated,
        }
        for number, moment in enumerate(moments)
    ]


def _last_midnights(count: int) -> list[datetime]:
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return [today - timedelta(days=back) for back in range(count)]


def _assert_right(database: Database[dict[str, Any]], zone: str = "UTC") -> None:
    stored = list(database["healthmetrics"].find())
    expected = reference_analytics(stored, zone, datetime.now(timezone.utc).date())
    assert expected
    assert_same_analytics(list(database["analytics"].find()), expected)


def test_days_around_a_change_of_the_clocks_are_days(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """Local midnights of Berlin, from before the spring of 2026 until after its autumn.

    Seen as UTC the days would double and go missing, and the streak would break.
    """
    user, zone = new_id(random.Random(3)), "Europe/Berlin"
    # Local midnight is 23:00Z in winter and 22:00Z in summer; the clocks changed on 29 March and 25 October.
    spring, autumn = (
        datetime(2026, 3, 28, 23, tzinfo=timezone.utc),
        datetime(2026, 10, 25, tzinfo=timezone.utc),
    )
    first = datetime(2026, 3, 20, 23, tzinfo=timezone.utc)
    moments = []
    for number in range(225):
        moment = first + timedelta(days=number)
        summer = spring < moment < autumn
        moments.append(moment - timedelta(hours=1) if summer else moment)
    database["healthmetrics"].insert_many(_days(user, moments, datetime.now(timezone.utc)))
    job = pipeline(spark, database, tmp_path, analytics_timezone=zone)
    assert job.once(StopFlag())
    _assert_right(database, zone)
    week = database["analytics"].find_one({"timeRange": "7day", "metricType": "steps"})
    assert week is not None
    assert week["analytics"]["longestStreak"] == 225


def test_a_clock_that_is_set_back_leaves_no_stale_result(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path, monkeypatch: Any
) -> None:
    """Results that were dated an hour ahead give way to those computed after the clock was mended."""
    user = new_id(random.Random(4))
    source = database["healthmetrics"]
    source.insert_many(_days(user, _last_midnights(10), datetime.now(timezone.utc)))
    ahead = pipeline(spark, database, tmp_path)
    server_now = ahead.clock._clock.now
    monkeypatch.setattr(ahead.clock._clock, "now", lambda: server_now() + timedelta(hours=1))
    assert ahead.once(StopFlag())
    source.update_many({}, {"$set": {"metrics.steps": 4_321, "updatedAt": datetime.now(timezone.utc)}})
    mended = pipeline(spark, database, tmp_path)
    assert mended.once(StopFlag())
    _assert_right(database)


def test_a_document_near_the_limit_of_16_mb_is_one_dead_letter(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """It is read, judged and set aside by its hash; its user's other days are computed."""
    user = new_id(random.Random(5))
    good, huge = _days(user, _last_midnights(2), datetime.now(timezone.utc))
    huge["metrics"] = {"steps": "7" * (15 * _MEGABYTE)}
    database["healthmetrics"].insert_many([good, huge])
    assert pipeline(spark, database, tmp_path).once(StopFlag())
    _assert_right(database)
    (letter,) = (tmp_path / "dlq").glob("analytics_dlq_*.json")
    text = letter.read_text()
    assert "sha256" in text
    assert len(text) < 10_000
