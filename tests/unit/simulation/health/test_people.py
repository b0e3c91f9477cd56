"""The program that invents people for a real database: they are there once, and nobody else's days change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from pymongo.collection import Collection

from contracts import ConfigurationError
from simulation.health import people
from sources.mongo_client import connect
from surroundings.signal_flag import SignalFlag

URI = "mongomock://people"


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> Collection[dict[str, Any]]:
    """The collection that the program fills, empty."""
    monkeypatch.setattr(people, "stop_on_signals", SignalFlag)
    monkeypatch.setenv("MONGO_URI", URI)
    monkeypatch.setenv("MONGO_DB_NAME", "invented")
    source = connect(URI)["invented"]["healthmetrics"]
    source.delete_many({})
    return source


def _run(out: Callable[[], Any], **options: Any) -> str:
    people.main(**{"seconds": 0.05, "per_second": 200, "users": 3, "days": 20, "seed": 7, **options})
    return str(out().out)


def test_they_come_once_and_their_days_go_on_changing(
    days: Collection[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that starts again has the same people, and writes no second history."""
    first = _run(capsys.readouterr)
    assert "days of 3 people written" in first
    found = days.count_documents({})
    newest = days.find_one({}, sort=[("updatedAt", -1)])
    assert len(days.distinct("userId")) == 3
    assert found > 30
    second = _run(capsys.readouterr)
    assert "written" not in second
    assert int(second.split()[0]) > 0
    assert len(days.distinct("userId")) == 3
    assert newest
    assert days.count_documents({"updatedAt": {"$gt": newest["updatedAt"]}}) > 0


def test_a_database_of_others_is_left_alone(days: Collection[dict[str, Any]]) -> None:
    """Invented people must not come among real ones."""
    days.insert_one({"userId": ObjectId(), "date": None})
    with pytest.raises(ConfigurationError, match="MONGO_DB_NAME"):
        _run(lambda: None)
    assert days.count_documents({}) == 1
