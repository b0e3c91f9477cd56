"""Replays on a real server: results are found by an index, whatever else is stored."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import bson
from bson import ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo.database import Database

from analytics.health.documents import LIFETIME
from analytics.health.validation import DayRules
from pipelines.health.replay import PastBatch, Tally, replaced_since, replay, users_of
from sinks.health.indexes import ensure_indexes
from sources.mongo_client import connect

_AT = datetime.now(timezone.utc).replace(microsecond=0)
_LATER = _AT + timedelta(days=1)
_BATCH = PastBatch("batch_3", _AT, _AT, "batch_3")


def test_a_batch_is_found_by_the_index_of_the_service(
    mongo_uri: str, database: Database[dict[str, Any]]
) -> None:
    """Both questions; a collection of everybody's results is never read through."""
    results = connect(mongo_uri)[database.name]["analytics"]
    ensure_indexes(results)
    asked: list[Any] = []

    def find(*question: Any) -> Any:
        asked.append(question[0])
        return results.find(*question)

    reading = SimpleNamespace(find=find)
    target: Any = SimpleNamespace(
        with_options=lambda **_: reading, index_information=results.index_information
    )
    assert users_of(target, _BATCH) == []
    assert replaced_since(target, _BATCH) == ({}, True)
    assert len(asked) == 2
    for condition in asked:
        assert "analytics_ttl" in str(results.find(condition).explain()["queryPlanner"])


def test_results_of_other_programs_stop_no_replay(mongo_uri: str, database: Database[dict[str, Any]]) -> None:
    """Dates beyond the calendar, no metadata, other types: what can be of the batch is replayed."""
    stored = connect(mongo_uri)[database.name]
    source, target = stored["healthmetrics"], stored["analytics"]
    ensure_indexes(target)
    user = ObjectId()
    usual = {"expiresAt": _AT + LIFETIME, "timeRange": "7day", "metricType": "steps", "createdAt": _AT}
    odd: list[dict[str, Any]] = [
        {"userId": 7, "calculatedAt": _AT, "metadata": {"sparkJobId": "local-1:batch_3"}},
        {"userId": user, "calculatedAt": "then", "metadata": []},
        {"userId": ObjectId(), "calculatedAt": DatetimeMS(2**60), "metadata": {"sparkJobId": 3}},
        {"userId": ObjectId(), "calculatedAt": _AT, "expiresAt": DatetimeMS(2**60)},
        {"userId": ObjectId(), "expiresAt": _LATER + LIFETIME, "createdAt": DatetimeMS(-(2**60))},
        {"userId": ObjectId(), "expiresAt": _LATER + LIFETIME, "calculatedAt": "later"},
    ]  # fmt: skip
    target.insert_many({**usual, **each} for each in odd)
    mine = {"calculatedAt": _AT, "metadata": {"sparkJobId": "local-1:batch_3"}, "metricType": "weight"}
    target.insert_one({**usual, **mine, "userId": user, "analytics": {"trend": bson.Code("x")}})
    users, tally = users_of(target, _BATCH), Tally()
    assert users == [user]
    ((owner, explanation),) = replay(source, target, _BATCH, users, DayRules(today=_AT.date()), tally)
    assert (owner, explanation.metric, explanation.computed) == (user, "weight", None)
    assert (tally.results, tally.different, tally.replaced) == (1, 1, {})
    assert replaced_since(target, _BATCH) == ({}, True)
