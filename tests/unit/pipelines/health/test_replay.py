"""A replayed batch: equal right after it, and afterwards different exactly where the documents are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from datetime import date, datetime, timedelta, timezone
from typing import Any

import mongomock
import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.health.comparison import differences
from analytics.health.documents import LIFETIME
from analytics.health.validation import DayRules
from contracts import ConfigurationError
from pipelines.health import replay as module
from pipelines.health.replay import PastBatch, Tally, replaced_since, replay, users_of
from tests.support import worked_example as example
from tests.support.reference import Expected, reference_analytics
from tests.support.strategies import histories

TODAY = date(2025, 6, 30)
_AT = datetime(2025, 7, 2, tzinfo=timezone.utc)
_BATCH = PastBatch("batch_3", _AT - timedelta(seconds=1), _AT + timedelta(seconds=1), "batch_3", 0)
_RULES = DayRules(today=TODAY)
_Key = tuple[ObjectId, str, str]


def _store(documents: list[dict[str, Any]], expected: Expected) -> Any:
    """A database of `documents` and of the results that batch_3 wrote of them."""
    database: Any = mongomock.MongoClient(tz_aware=True)["health-metrics"]
    # Without the life time, by which the embedded store would remove what is so old.
    database["analytics"].create_index("expiresAt")
    if documents:
        database["healthmetrics"].insert_many(deepcopy(documents))
    for result in expected.values():
        database["analytics"].insert_one({**result, **_of_batch("batch_3", _AT)})
    return database


def _of_batch(name: str, at: datetime) -> dict[str, Any]:
    metadata = {"sparkJobId": f"local-1:{name}"}
    return {"calculatedAt": at, "expiresAt": at + LIFETIME, "createdAt": _AT, "metadata": metadata}


def _replayed(database: Any, tally: Tally, rules: DayRules = _RULES) -> Iterator[_Key]:
    target = database["analytics"]
    users = users_of(target, _BATCH)
    for user, one in replay(database["healthmetrics"], target, _BATCH, users, rules, tally):
        yield user, one.metric, one.time_range


@settings(max_examples=20)
@given(histories(users=3), st.data())
def test_only_what_an_edit_reaches_differs(documents: list[dict[str, Any]], data: st.DataObject) -> None:
    """Nothing right after the batch; after an edit the results that the contract changes, of nobody else."""
    before = reference_analytics(documents, "UTC", TODAY)
    database, tally = _store(documents, before), Tally()
    assert set(_replayed(database, tally)) <= before.borderline
    assert tally.results == len(before)
    assert tally.users == len({user for user, _, _ in before})

    number = data.draw(st.integers(0, len(documents) - 1))
    edited = deepcopy(documents)
    edited[number]["metrics"]["steps"] = data.draw(st.integers(0, 30_000))
    edited[number]["updatedAt"] = _AT + timedelta(minutes=1)
    user = edited[number]["userId"]
    database["healthmetrics"].replace_one({"_id": edited[number]["_id"]}, edited[number])
    after = reference_analytics(edited, "UTC", TODAY)
    known = {owner for owner, _, _ in before}
    changed = {
        key
        for key in before.keys() | after.keys()
        if key[0] in known and differences(before.get(key), after.get(key))
    }
    doubtful = before.borderline | after.borderline
    found = set(_replayed(database, Tally()))
    assert found - doubtful == changed - doubtful
    assert {key[0] for key in found - doubtful} <= {user}


def test_more_users_than_are_held_at_once_are_all_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each user's documents stay with that user, and each counts once."""
    monkeypatch.setattr(module, "USERS_AT_ONCE", 2)
    users = [ObjectId(bytes([number]) * 12) for number in range(1, 6)]
    documents = [
        example.steps_document(day, 1_000 * day + place, user, _id=ObjectId())
        for place, user in enumerate(users)
        for day in (1, 2)
    ]
    tally = Tally()
    database = _store(documents, reference_analytics(documents, "UTC", TODAY))
    assert list(_replayed(database, tally)) == []
    assert (tally.users, tally.results, tally.equal, tally.missing) == (5, 15, 15, 0)
    assert tally.jobs == {"local-1:batch_3": 15}


def _another_batch(result: dict[str, Any]) -> None:
    result.update(_of_batch("batch_13", _AT))


def _another_time(result: dict[str, Any]) -> None:
    result.update(_of_batch("batch_3", _AT + timedelta(seconds=2)))


@pytest.mark.parametrize("change", [_another_batch, _another_time], ids=["name", "time"])
def test_what_another_batch_wrote_is_left_out_and_counted(change: Any) -> None:
    """A name that ends alike, and another process's batch of the same name, are others."""
    documents = example.documents()
    database = _store(documents, reference_analytics(documents, "UTC", TODAY))
    result = database["analytics"].find_one({"timeRange": "7day"})
    result["analytics"]["percentile"] = 1.0
    change(result)
    database["analytics"].replace_one({"_id": result["_id"]}, result)
    tally = Tally()
    assert list(_replayed(database, tally)) == []
    assert (tally.users, tally.results) == (1, 2)
    assert tally.replaced == {result["metadata"]["sparkJobId"]: 1}


def test_what_stands_in_the_place_of_older_results_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that were there then, by the batch that wrote them since; new ones replaced nothing."""
    documents = example.documents()
    database = _store(documents, reference_analytics(documents, "UTC", TODAY))
    target, later = database["analytics"], _AT + timedelta(minutes=1)
    target.update_many({"timeRange": {"$ne": "90day"}}, {"$set": _of_batch("batch_4", later)})
    target.insert_one({**_of_batch("batch_5", later), "createdAt": later, "userId": ObjectId()})
    assert replaced_since(target, _BATCH) == (Counter({"local-1:batch_4": 2}), True)
    monkeypatch.setattr(module, "LOOKED_AT", 1)
    assert replaced_since(target, _BATCH) == (Counter({"local-1:batch_4": 1}), False)


def test_without_an_index_on_a_date_it_is_refused() -> None:
    """A look through all results of everybody would have no bound; the backend's own index does, too."""
    target: Any = mongomock.MongoClient(tz_aware=True)["health-metrics"]["analytics"]
    target.insert_one({"userId": example.USER, **_of_batch("batch_3", _AT)})
    with pytest.raises(ConfigurationError, match="no index on expiresAt"):
        users_of(target, _BATCH)
    target.create_index("calculatedAt")
    assert users_of(target, _BATCH) == [example.USER]
