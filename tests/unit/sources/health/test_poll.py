"""The poll's logic on the embedded store; what a real server adds is proven in tests/integration."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import mongomock
import pytest
from bson import Binary, ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.health import poll as poll_module
from sources.health.history import read_history
from sources.health.poll import MongoPoll
from sources.health.replies import cut, read_replies
from tests.support.poll_schedules import Action, Service, schedules

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


@pytest.mark.parametrize(("overlap", "page_size"), [(-1, 10), (60, 0)])
def test_senseless_sizes_are_refused(overlap: int, page_size: int) -> None:
    """A negative overlap or an empty page is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least"):
        MongoPoll(collection(), overlap, page_size)
    with pytest.raises(ValueError, match="at least"):
        next(read_history(collection(), [ObjectId()], chunk=0))


def _late(poll: MongoPoll, cursor: datetime, until: datetime) -> list[float]:
    """One whole drain; the lateness of everything that came late."""
    seconds: list[float] = []
    for page in poll.begin(cursor, until):
        poll.mark_done(page)
        seconds += page.late_seconds
    return sorted(seconds)


def test_lateness_is_measured_from_the_end_of_the_drain_that_missed_it() -> None:
    """Only what an earlier drain had read past is late; what is new, or comes again at a start, is not."""
    source = collection()
    newest = NOW - timedelta(seconds=30)
    source.insert_one({"_id": 1, "updatedAt": newest, "userId": 1})
    poll = MongoPoll(source, 3_600, 2)
    assert _late(poll, NOW - timedelta(hours=1), NOW) == []
    source.insert_many(
        [{"_id": number, "updatedAt": NOW + timedelta(seconds=number), "userId": 1} for number in (2, 3, 4)]
    )
    source.insert_many(
        [{"_id": 10 + late, "updatedAt": NOW - timedelta(seconds=late), "userId": 1} for late in (0, 7, 41)]
    )
    later = NOW + timedelta(seconds=9)
    assert _late(poll, newest, later) == [0, 7, 41]
    assert _late(poll, NOW + timedelta(seconds=4), later) == []
    assert _late(MongoPoll(source, 3_600, 2), newest, later) == []


def test_after_a_moved_cursor_nothing_counts_as_late() -> None:
    """Everything comes again then, whenever it was committed."""
    source = collection()
    source.insert_one({"_id": 1, "updatedAt": NOW - timedelta(seconds=30), "userId": 1})
    poll = MongoPoll(source, 3_600, 2)
    assert _late(poll, NOW - timedelta(hours=1), NOW) == []
    poll.forget()
    assert _late(poll, NOW - timedelta(hours=1), NOW + timedelta(seconds=1)) == []


@pytest.mark.parametrize("page_size", [10, 1])
def test_the_overlap_begins_with_its_first_moment(page_size: int) -> None:
    """A commit exactly as late as promised is found, whether all changes fit into a page or not."""
    source, overlap = collection(), timedelta(seconds=60)
    poll = MongoPoll(source, 60, page_size)
    source.insert_many([{"updatedAt": NOW - overlap, "userId": 1}, {"updatedAt": NOW, "userId": 1}])
    source.insert_one({"updatedAt": NOW - overlap - timedelta(milliseconds=1), "userId": 1})
    source.insert_many([{"updatedAt": NOW + timedelta(seconds=1), "userId": 1} for _ in range(3)])
    found = [key for page in poll.begin(NOW, NOW + timedelta(seconds=5)) for key in page.keys]
    assert sorted(updated for _, updated in found)[:2] == [NOW - overlap, NOW]
    assert len(found) == 5


def _updated(shape: str, rng: random.Random) -> list[datetime]:
    day = timedelta(days=1)
    return {
        "evenly": [NOW - rng.random() * 30 * day for _ in range(900)],
        "in the last hour": [NOW - rng.random() * day / 24 for _ in range(900)],
        "at two moments": [
            *[NOW - 20 * day] * 300,
            *[NOW - 3 * day] * 300,
            *(NOW - rng.random() * 30 * day for _ in range(150)),
        ],
        "in ten minutes a day": [
            NOW - rng.randrange(30) * day - rng.random() * day / 144 for _ in range(900)
        ],
    }[shape]


@pytest.mark.parametrize("shape", ["evenly", "in the last hour", "at two moments", "in ten minutes a day"])
def test_a_backlog_is_read_about_once(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges that prove too long are few, however the changes lie; two bulks were read eight times."""
    source, rng = collection(), random.Random(1)
    source.insert_many({"userId": ObjectId(), "updatedAt": each} for each in _updated(shape, rng))
    read = 0

    def counted(*arguments: Any, **options: Any) -> Iterator[bytes]:
        nonlocal read
        for reply in read_replies(*arguments, **options):
            read += len(cut(reply))
            yield reply

    monkeypatch.setattr(poll_module, "read_replies", counted)
    poll = MongoPoll(source, 60, 100)
    pages = [page.size for page in poll.begin(NOW - timedelta(days=40), NOW)]
    assert sum(pages) == source.count_documents({})
    assert read <= 2 * sum(pages)
    assert len(pages) <= 3 * sum(pages) / 100
