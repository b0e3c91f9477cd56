"""The simulated population: repeatable, realistic enough to show what the demo claims."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta, timezone
from statistics import mean
from typing import Any

import mongomock
import pytest
from pymongo.collection import Collection

from simulation.health.population import PATTERN_USER_ID, Population, worked_example
from tests.support.worked_example import STEPS

TODAY = date(2025, 7, 1)
NOW = datetime(2025, 7, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def source() -> Any:
    """An embedded collection."""
    return mongomock.MongoClient(tz_aware=True)["x"]["healthmetrics"]


def _backfilled(source: Collection[dict[str, Any]], **options: int) -> list[dict[str, Any]]:
    population = Population(**{"seed": 1, "users": 30, "days": 365, **options}, today=TODAY)
    assert population.backfill(source, NOW) == source.count_documents({})
    return list(source.find())


def test_the_same_seed_gives_the_same_people() -> None:
    """So that a demo can be repeated."""
    first, second = (
        [{**d, "updatedAt": None} for d in _backfilled(mongomock.MongoClient()["x"]["y"], users=3, days=20)]
        for _ in range(2)
    )
    assert repr(first) == repr(second)  # one value is NaN, which is not equal to itself


def test_people_have_gaps_sources_and_bad_values(source: Any) -> None:
    """One document a user and day at most; some days missing; some sources and values that do not count."""
    documents = _backfilled(source)
    days = Counter((d["userId"], d["date"]) for d in documents)
    assert max(days.values()) == 1
    assert 0.8 < len(documents) / (30 * 365) < 0.99
    assert {"googlefit", "manual", "import"} == {d["source"] for d in documents}
    assert any(isinstance(d["metrics"]["steps"], str) for d in documents)
    assert all(timedelta(0) <= NOW - d["updatedAt"] <= timedelta(minutes=10) for d in documents)


def test_summer_has_more_steps_than_winter(source: Any) -> None:
    """The season is visible over many people."""
    documents = [d for d in _backfilled(source) if isinstance(d["metrics"]["steps"], int)]
    by_month = {
        month: mean(
            d["metrics"]["steps"]
            for d in documents
            if d["date"].month == month and d["metrics"]["steps"] < 60_000
        )
        for month in (1, 6)
    }
    assert by_month[6] > 1.1 * by_month[1]


def test_a_live_change_is_dated_now_and_keeps_one_document_a_day(source: Any) -> None:
    """Live changes edit or add like the backend: an upsert by user and day."""
    population = Population(seed=2, users=3, days=30, today=TODAY)
    population.backfill(source, NOW)
    later = NOW + timedelta(seconds=5)
    changed = [population.live_change(source, later) for _ in range(50)]
    stored = list(source.find({"updatedAt": later}))
    assert {(d["userId"], d["date"]) for d in stored} == {(d["userId"], d["date"]) for d in changed}
    assert max(Counter((d["userId"], d["date"]) for d in source.find()).values()) == 1
    assert any(d["date"].date() < TODAY for d in changed)


def test_the_pattern_user_is_the_contracts_example() -> None:
    """Days 1 to 15, day 8 missing, ending today."""
    documents = worked_example(PATTERN_USER_ID, TODAY)
    first = datetime(2025, 6, 17, tzinfo=timezone.utc)
    assert {(d["date"] - first).days + 1: d["metrics"]["steps"] for d in documents} == STEPS
