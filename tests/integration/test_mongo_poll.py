"""The poll's promises, on a real server."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, ObjectId
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient, monitoring
from pymongo.collection import Collection
from pymongo.database import Database

from sources.health.history import read_history
from sources.health.poll import MongoPoll
from sources.health.poll_page import PollPage
from sources.mongo_client import MonotonicClock, ServerClock, for_reading
from tests.support.poll_schedules import Action, Service, key_of, schedules

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
FIXED_ID = ObjectId("65a000000000000000000001")
MIXED_IDS: list[Any] = [
    None,
    1,
    2.5,
    float("nan"),
    Decimal128("7.5"),
    "a",
    "b",
    {"x": 1},
    {"x": 2},
    Binary(b"q"),
    uuid.UUID(int=7),
    FIXED_ID,
    True,
    NOW,
    DatetimeMS(-(10**17)),
]
SCHEDULED = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class CommandCounter(monitoring.CommandListener):
    """Names of the commands sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.sent.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing to note."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing to note."""


@pytest.fixture
def source(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """The polled collection with its index."""
    MongoPoll(database["healthmetrics"], 60, 10).ensure_index()
    return database["healthmetrics"]


@pytest.fixture
def counted(mongo_uri: str, database: Database[dict[str, Any]]) -> Iterator[tuple[Any, CommandCounter]]:
    """The polled collection through a client that notes its commands."""
    counter = CommandCounter()
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_uri, tz_aware=True, event_listeners=[counter])
    yield client[database.name]["healthmetrics"], counter
    client.close()


def metric(updated: Any, **fields: Any) -> dict[str, Any]:
    """A document of some user."""
    return {"_id": ObjectId(), "userId": ObjectId(), "updatedAt": updated, **fields}


def drain(poll: MongoPoll, cursor: datetime, until: datetime = NOW) -> list[PollPage]:
    """One whole drain, every page confirmed."""
    pages = []
    for page in poll.begin(cursor, until):
        poll.mark_done(page)
        pages.append(page)
    return pages


def keys(pages: list[PollPage]) -> list[Any]:
    """The versions of all pages, in order."""
    return [key_of(*key) for page in pages for key in page.keys]


def fresh(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """A collection of its own for one example of a property test."""
    collection = database[f"h{secrets.token_hex(6)}"]
    MongoPoll(collection, 1, 1).ensure_index()
    return collection


@SCHEDULED
@given(
    actions=schedules(MIXED_IDS, crashes=True),
    page_size=st.sampled_from([1, 2, 3, 7, 1000]),
)
def test_no_version_is_lost(
    database: Database[dict[str, Any]], actions: list[Action], page_size: int
) -> None:
    """Equal timestamps, late commits, mixed ids, crashes: every version that remains was delivered."""
    service = Service(fresh(database), MIXED_IDS, page_size)
    service.run(actions)
    assert service.owed() <= set(service.delivered)


@SCHEDULED
@given(
    actions=schedules(MIXED_IDS, crashes=False),
    page_size=st.sampled_from([1, 2, 3, 7, 1000]),
)
def test_without_restarts_no_version_comes_twice(
    database: Database[dict[str, Any]], actions: list[Action], page_size: int
) -> None:
    """While the process lives each version is delivered once, and then nothing is left to do."""
    service = Service(fresh(database), MIXED_IDS, page_size)
    service.run(actions)
    assert service.owed() <= set(service.delivered)
    assert service.delivered <= service.written
    assert list(service.drain()) == []


@pytest.mark.parametrize("page_size", [1, 3, 15, 16, 100])
def test_ids_of_all_types_at_one_timestamp(source: Collection[dict[str, Any]], page_size: int) -> None:
    """Documents that share a millisecond are all read, whatever the types of their ids."""
    source.insert_many([metric(NOW) | {"_id": key} for key in MIXED_IDS])
    pages = drain(MongoPoll(source, 60, page_size), NOW - HOUR)
    assert sorted(keys(pages)) == sorted(key_of(key, NOW) for key in MIXED_IDS)
    assert [page.complete for page in pages] == [False] * (len(pages) - 1) + [True]


def test_five_thousand_documents_at_one_timestamp(source: Collection[dict[str, Any]]) -> None:
    """A bulk write with one timestamp is cut into pages, each document once, also from within the overlap."""
    documents = [metric(NOW) for _ in range(5000)]
    source.insert_many([*documents, metric(NOW - MS)])
    for cursor in (NOW - HOUR, NOW):
        pages = drain(MongoPoll(source, 60, 1000), cursor)
        assert len(keys(pages)) == len(set(keys(pages))) == 5001
        assert max(len(page.keys) for page in pages) == 1000
        assert max(page.newest for page in pages if page.newest) == NOW


@pytest.mark.parametrize("page_size", [1, 3, 100])
def test_an_id_of_broken_text_hides_no_document(source: Collection[dict[str, Any]], page_size: int) -> None:
    """It is read as another text, by which nothing is found; so its date is asked for."""
    for number in range(6):
        document = {"_id": f"abcX{number // 2}", "userId": ObjectId(), "updatedAt": NOW + number // 3 * MS}
        broken = bson.encode(document).replace(b"X", bytes([0xF0 + number]))
        source.insert_one(RawBSONDocument(broken))
    source.insert_many({"_id": each, "userId": ObjectId(), "updatedAt": NOW} for each in (1, "a", {"b": "c"}))
    poll = MongoPoll(source, 60, page_size)
    found = [each["userId"] for page in poll.begin(NOW - HOUR, NOW + HOUR) for each in page.documents]
    assert set(found) == {each["userId"] for each in for_reading(source).find()}
    assert len(set(found)) == 9
    # One is gone before it can be fetched.
    pages = MongoPoll(source, 60, 1).begin(NOW - HOUR, NOW + HOUR)
    next(pages)
    source.delete_many({})
    assert len(list(pages)) <= 8


def test_an_idle_poll_is_one_command_and_no_documents(
    source: Collection[dict[str, Any]], counted: tuple[Any, CommandCounter]
) -> None:
    """However full the overlap, a poll without news reads its keys once and nothing else."""
    collection, counter = counted
    source.insert_many([metric(NOW - MS * number) for number in range(3000)])
    poll = MongoPoll(collection, 60, 100)
    assert len(keys(drain(poll, NOW - HOUR))) == 3000
    for _ in range(3):
        counter.sent.clear()
        assert drain(poll, NOW, NOW + HOUR) == []
        assert counter.sent == ["find"]


def test_known_documents_do_not_fill_pages(source: Collection[dict[str, Any]]) -> None:
    """Only unprocessed documents count towards the page size, so a fast stream cannot stall the poll."""
    source.insert_many([metric(NOW - MS * number) for number in range(500)])
    poll = MongoPoll(source, 60, 10)
    drain(poll, NOW - HOUR)
    late, new = metric(NOW - MS * 250), metric(NOW + MS)
    source.insert_many([late, new])
    (page,) = drain(poll, NOW, NOW + MS)
    assert sorted(document["_id"] for document in page.documents) == sorted([late["_id"], new["_id"]])


def test_a_commit_as_late_as_the_overlap_is_found(source: Collection[dict[str, Any]]) -> None:
    """The overlap counts to the millisecond; what is later still is beyond the promise."""
    source.insert_one(metric(NOW))
    poll = MongoPoll(source, 60, 10)
    drain(poll, NOW - HOUR)
    late = metric(NOW - timedelta(seconds=60))
    source.insert_many([late, metric(NOW - timedelta(seconds=60) - MS)])
    assert keys(drain(poll, NOW)) == [key_of(late["_id"], late["updatedAt"])]


def test_future_documents_wait(source: Collection[dict[str, Any]]) -> None:
    """What is dated after the server's now is not delivered before its time, and then once."""
    later = metric(NOW + HOUR)
    source.insert_many([metric(NOW), later, metric(datetime(2099, 1, 1, tzinfo=timezone.utc))])
    poll = MongoPoll(source, 60, 10)
    assert [page.newest for page in drain(poll, NOW - HOUR)] == [NOW]
    assert keys(drain(poll, NOW, NOW + HOUR)) == [key_of(later["_id"], NOW + HOUR)]
    assert drain(poll, NOW + HOUR, NOW + HOUR) == []


def test_documents_without_a_user_are_passed_over_once(source: Collection[dict[str, Any]]) -> None:
    """They are no work, but known: a page full of them neither stops nor repeats the poll."""
    strays: list[dict[str, Any]] = [{"_id": number, "updatedAt": NOW} for number in range(5)]
    user = metric(NOW)
    source.insert_many([*strays, {"_id": "null", "userId": None, "updatedAt": NOW}, user])
    poll = MongoPoll(source, 60, 2)
    pages = drain(poll, NOW - HOUR)
    assert [document for page in pages for document in page.documents] == [user]
    assert len(keys(pages)) == 7
    assert drain(poll, NOW) == []


def test_values_that_are_no_dates_do_not_stop_the_poll(source: Collection[dict[str, Any]]) -> None:
    """Strings, lists, absent dates and dates outside Python's range are passed by; the rest is read whole."""
    far = DatetimeMS(10**17)
    wrong: list[Any] = ["2026", [NOW, NOW], None, 5, {"a": NOW}, far, DatetimeMS(-(10**17))]
    good = metric(NOW, date=far, metrics={"steps": 5}, other=1)
    source.insert_many(
        [*(metric(value) for value in wrong), *(metric([NOW - MS] * 2) for _ in range(5)), good]
    )
    poll = MongoPoll(source, 60, 1)
    (page,) = drain(poll, NOW - HOUR)
    assert list(page.documents) == [{key: value for key, value in good.items() if key != "other"}]
    assert drain(poll, NOW) == []
    assert len(drain(MongoPoll(source, 60, 1), NOW)) == 1


def test_unconfirmed_pages_come_again_and_forgetting_repeats(source: Collection[dict[str, Any]]) -> None:
    """Only `mark_done` makes a version known; `forget` makes all of the overlap unknown."""
    source.insert_many([metric(NOW), metric(NOW)])
    poll = MongoPoll(source, 60, 10)
    assert [len(page.keys) for page in poll.begin(NOW, NOW)] == [2]
    assert len(keys(drain(poll, NOW))) == 2
    assert drain(poll, NOW) == []
    poll.forget()
    assert len(keys(drain(poll, NOW))) == 2


def test_a_document_changed_while_its_key_waits_comes_with_its_new_date_only(
    source: Collection[dict[str, Any]],
) -> None:
    """What moves on after its key was read is left for the scan behind it, where it comes once."""
    documents = [metric(NOW) for _ in range(4)]
    source.insert_many(documents)
    poll = MongoPoll(source, 60, 1)
    pages = poll.begin(NOW - HOUR, NOW + HOUR)
    first = next(pages)
    taken = {document["_id"] for document in documents if document["_id"] == next(first.documents)["_id"]}
    moved = next(document["_id"] for document in reversed(documents) if document["_id"] not in taken)
    source.update_one({"_id": moved}, {"$set": {"updatedAt": NOW + MS}})
    rest = list(pages)
    assert [key for key in keys([first, *rest]) if key[0] == key_of(moved, NOW)[0]] == [
        key_of(moved, NOW + MS)
    ]
    assert len(set(keys([first, *rest]))) == 4


def test_the_skip_set_is_pruned_to_the_overlap(source: Collection[dict[str, Any]]) -> None:
    """Memory follows the overlap, not the backlog."""
    source.insert_many([metric(NOW - timedelta(seconds=number)) for number in range(2000)])
    poll = MongoPoll(source, 60, 100)
    drain(poll, NOW - HOUR)
    assert drain(poll, NOW) == []
    assert len(poll._known) == 61


def test_extreme_cursors(source: Collection[dict[str, Any]]) -> None:
    """A cursor in the year 1 reads everything, one after `until` reads its overlap only; none raises."""
    source.insert_many([metric(NOW - HOUR), metric(NOW)])
    assert len(keys(drain(MongoPoll(source, 60, 10), datetime(1, 1, 1, tzinfo=timezone.utc)))) == 2
    assert len(keys(drain(MongoPoll(source, 60, 10), NOW + 30_000 * MS))) == 1
    assert drain(MongoPoll(source, 60, 10), NOW + HOUR) == []


def test_the_index_is_made_once(source: Collection[dict[str, Any]]) -> None:
    """Asking again is harmless."""
    MongoPoll(source, 60, 10).ensure_index()
    assert [index["key"] for index in source.list_indexes()] == [{"_id": 1}, {"updatedAt": 1, "_id": 1}]


def test_history_is_whole_projected_and_asked_for_in_pieces(
    source: Collection[dict[str, Any]], counted: tuple[Any, CommandCounter]
) -> None:
    """All documents of the users asked for, contract fields only, at most 100 users a query."""
    collection, counter = counted
    users = [ObjectId() for _ in range(250)]
    documents = [metric(NOW, metrics={"steps": day}) | {"userId": user} for user in users for day in range(4)]
    source.insert_many([document | {"other": 1} for document in [*documents, metric(NOW)]])
    found = list(read_history(collection, users, chunk=1000))
    assert sorted(found, key=lambda item: item["_id"]) == sorted(documents, key=lambda item: item["_id"])
    assert counter.sent == ["find"] * 3
    assert list(read_history(collection, [])) == []


def test_the_server_s_clock_is_aware_utc_milliseconds(database: Database[dict[str, Any]]) -> None:
    """`now` is the server's, `next` never repeats."""
    clock = MonotonicClock(ServerClock(database.client))
    now = clock.now()
    assert now.utcoffset() == timedelta(0)
    assert now.microsecond % 1000 == 0
    assert abs(now - datetime.now(timezone.utc)) < timedelta(minutes=1)
    ticks = [clock.next() for _ in range(50)]
    assert all(later - earlier >= MS for earlier, later in pairwise(ticks))


def test_what_waits_is_counted_by_the_server(source: Collection[dict[str, Any]]) -> None:
    """The backlog after a page, exact below 100 000."""
    source.insert_many([{"updatedAt": NOW + number * MS, "userId": FIXED_ID} for number in range(50)])
    poll = MongoPoll(source, 60, 10)
    pages = poll.begin(NOW - HOUR, NOW + HOUR)
    first = next(pages)
    assert first.newest is not None
    assert poll.count_after(first.newest, NOW + HOUR) == 50 - len(first.keys)
    assert poll.count_after(NOW + 49 * MS, NOW + HOUR) == 0
