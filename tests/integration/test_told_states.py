"""What people were told, on the real server: two processes at once, a death, the indexes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId
from pymongo.database import Database

from analytics.health.documents import midnight
from pipelines.health.telling.delivery import Delivery
from pipelines.health.telling.news import News
from pipelines.health.telling.teller import Teller
from sinks.health.told_states import ToldStates
from tests.support.catalogues import catalogue
from tests.support.receivers import FakeReceiver

_RULES = "[steps]\ntell_anomalies_from = low\ntell_streaks = 2\nleast_effect = 0\n"
_UTC = ZoneInfo("UTC")
_NOW = datetime.now(timezone.utc).replace(microsecond=0)
_TODAY = (_NOW - datetime(1970, 1, 1, tzinfo=timezone.utc)).days
_USERS = [ObjectId() for _ in range(12)]


def _teller(database: Database[dict[str, Any]], receiver: FakeReceiver) -> Teller:
    news = News(("webhook",), _UTC)
    receivers = {"webhook": receiver.as_receiver()}
    delivery = Delivery(receivers, news, lambda _letter: None, lambda *_: None, lambda: None)
    states = ToldStates(database["analytics_told"])
    clock = lambda: datetime.now(timezone.utc) + timedelta(seconds=1)  # noqa: E731
    return Teller(
        database["analytics"], states, news, delivery, lambda _user: _UTC, threading.Event(), clock=clock
    )


def _store(
    database: Database[dict[str, Any]], users: Sequence[ObjectId], days: int, moment: datetime
) -> None:
    for user in users:
        points = [{"date": midnight(_TODAY - age), "value": 5_000.0} for age in reversed(range(days))]
        key = {"userId": user, "metricType": "steps", "timeRange": "90day"}
        result = {"historicalData": points, "analytics": {"streakDays": days}, "calculatedAt": moment}
        database["analytics"].update_one(key, {"$set": result}, upsert=True)


def test_two_processes_tell_each_transition_under_one_id(database: Database[dict[str, Any]]) -> None:
    """Both look at the same people at the same time; a state is of one of them, never a mixture."""
    receiver = FakeReceiver()
    with catalogue(_RULES):
        tellers = [_teller(database, receiver) for _ in range(2)]
        for teller in tellers:
            teller.run_once()
        for days in (1, 2, 3):
            _store(database, _USERS, days, _NOW + timedelta(seconds=days))
            for teller in tellers:
                teller.publish(_USERS, _NOW + timedelta(seconds=days))
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(_drain, tellers))
    assert set(receiver.ids) == {str(one["id"]) for one in receiver.took}
    assert len(set(receiver.ids)) == len(_USERS)
    found = list(database["analytics_told"].find({"known": {"$exists": True}}))
    assert len(found) == len(_USERS)
    assert [one for one in found if one["waiting"] or "due" in one] == []


def _drain(teller: Teller) -> None:
    while teller.run_once():
        pass


def test_who_was_in_memory_when_the_process_died_is_found_again(database: Database[dict[str, Any]]) -> None:
    """By the time of the calculation; who was looked at before is not told again."""
    receiver = FakeReceiver()
    with catalogue(_RULES):
        first = _teller(database, receiver)
        first.run_once()
        _store(database, _USERS, 2, _NOW + timedelta(seconds=1))
        first.publish(_USERS[:5], _NOW + timedelta(seconds=1))
        _drain(first)
        _drain(_teller(database, receiver))
    assert sorted(receiver.ids) == sorted(set(receiver.ids))
    assert {one["userId"] for one in receiver.took} == set(map(str, _USERS))


@pytest.mark.parametrize("field", ["due", "silentAt"])
def test_what_is_due_is_found_by_an_index(database: Database[dict[str, Any]], field: str) -> None:
    """Every few seconds, among all people who ever had results."""
    states = ToldStates(database["analytics_told"])
    states.ensure_indexes()
    states.ensure_indexes()
    database["analytics_told"].insert_many([{"_id": ObjectId()} for _ in range(200)])
    plan = database["analytics_told"].find({field: {"$lte": _NOW}}).explain()
    assert f"{field}_1" in str(plan)


def test_of_two_writers_the_second_has_to_read_again(database: Database[dict[str, Any]]) -> None:
    """At the first write of a person, and at a later one; what the first one wrote stands."""
    states, user = ToldStates(database["analytics_told"]), _USERS[0]
    for writer in ("first", "later"):
        one, other = states.read(user), states.read(user)
        assert states.write({**one, "by": writer})
        assert not states.write({**other, "by": "too late"})
        assert states.read(user)["by"] == writer
