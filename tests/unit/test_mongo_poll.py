"""The poll's logic on the embedded store; what a real server adds is proven in tests/integration."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import mongomock
import pytest
from bson import Binary, ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.mongo_history import read_history
from sources.mongo_poll import MongoPoll
from tests.poll_schedules import Action, Service, schedules

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
# Types that mongomock can tell apart: it takes True for 1, and some types are no keys for it.
MIXED_IDS: list[Any] = [None, 2, 2.5, "a", {"x": 1}, Binary(b"q"), ObjectId()]
SCHEDULED = settings(max_examples=150, deadline=None)


def collection() -> Any:
    """An empty collection whose client is not timezone-aware: the poll must not depend on that."""
    return mongomock.MongoClient()["health"]["healthmetrics"]


@SCHEDULED
@given(actions=schedules(MIXED_IDS, crashes=True), page_size=st.sampled_from([1, 2, 3, 7, 1000]))
def test_no_version_is_lost(actions: list[Action], page_size: int) -> None:
    """Equal timestamps, late commits, mixed ids, crashes: every version that remains was delivered."""
    service = Service(collection(), MIXED_IDS, page_size)
    service.run(actions)
    assert service.owed() <= set(service.delivered)


@SCHEDULED
@given(actions=schedules(MIXED_IDS, crashes=False), page_size=st.sampled_from([1, 2, 3, 7, 1000]))
def test_without_restarts_no_version_comes_twice(actions: list[Action], page_size: int) -> None:
    """While the process lives each version is delivered once, and then nothing is left to do."""
    service = Service(collection(), MIXED_IDS, page_size)
    service.run(actions)
    assert service.owed() <= set(service.delivered)
    assert service.delivered <= service.written
    assert list(service.drain()) == []


def test_documents_of_no_use_do_not_stop_the_poll() -> None:
    """Dates that are strings, lists or absent are passed by; a missing userId gives a key without work."""
    source = collection()
    source.insert_many([{"updatedAt": value, "userId": 1} for value in ("2026", [NOW, NOW], None)])
    source.insert_one({"_id": "stray", "updatedAt": NOW})
    source.insert_one({"_id": "good", "updatedAt": NOW, "userId": 1})
    poll = MongoPoll(source, 60, 1)
    pages = []
    for page in poll.begin(NOW - timedelta(hours=1), NOW):
        poll.mark_done(page)
        pages.append(page)
    assert [[document["_id"] for document in page.documents] for page in pages] in (
        [[], ["good"]],
        [["good"], []],
    )
    assert [page.complete for page in pages] == [False, True]
    assert list(poll.begin(NOW, NOW)) == []


def test_history_of_many_users() -> None:
    """Every document of the users asked for, and of no others."""
    source = collection()
    users = [ObjectId() for _ in range(250)]
    source.insert_many([{"userId": user, "day": day} for user in [*users, ObjectId()] for day in range(2)])
    assert sorted(document["userId"] for document in read_history(source, users)) == sorted(users * 2)


@pytest.mark.parametrize(("overlap", "page_size"), [(-1, 10), (60, 0)])
def test_senseless_sizes_are_refused(overlap: int, page_size: int) -> None:
    """A negative overlap or an empty page is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least"):
        MongoPoll(collection(), overlap, page_size)
    with pytest.raises(ValueError, match="at least"):
        next(read_history(collection(), [ObjectId()], chunk=0))
