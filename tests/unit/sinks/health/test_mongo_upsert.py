"""What the writer makes of a server's answers: conflicts, refusals, writes that nobody confirms."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from pymongo import InsertOne, UpdateMany
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

import sinks.health.mongo_upsert
from contracts import UnavailableError, WriteResult
from contracts.stock import Sale
from sinks.health.indexes import ensure_indexes
from sinks.stock.sales import SalesStore
from sinks.stock.totals import send, swap
from sources.mongo_client import connect
from tests.support.results import ReadyResults, write_documents

T = datetime(2026, 1, 1, tzinfo=timezone.utc)
CLOCK = SimpleNamespace(now=lambda: T + timedelta(days=1))
USERS = sorted(ObjectId() for _ in range(10))
CONFLICT, VALIDATION, DUPLICATE = 112, 121, 11000
_COUNTS = ("nInserted", "nUpserted", "nMatched")

Errors = Callable[[int, dict[str, Any]], int | None]


class Server:
    """A collection in memory that refuses parts of its bulks: `code(bulk, key)` is None for what is done.

    An update of many of which one is refused does nothing (as in DocumentDB), or `partly` (as in mongod).
    """

    def __init__(self, code: Errors, partly: bool = False) -> None:
        name = f"mongomock://{ObjectId()}"
        self.documents: Collection[dict[str, Any]] = connect(name)["x"]["analytics"]
        self.bulks: list[tuple[int, list[dict[str, Any]]]] = []
        self._code, self._partly = code, partly

    def __getattr__(self, name: str) -> Any:
        return getattr(self.documents, name)

    def bulk_write(self, operations: Sequence[Any], ordered: bool) -> Any:
        """As pymongo does it: what is not refused is written, whatever is before or after it."""
        assert not ordered
        number, keys = len(self.bulks), [self._keys(operation) for operation in operations]
        self.bulks.append((threading.get_ident(), [key for each in keys for key in each]))
        refused = [[self._code(number, key) for key in each] for each in keys]
        codes = [next((code for code in each if code is not None), None) for each in refused]
        done = [operation for operation, code in zip(operations, codes, strict=True) if code is None]
        answer = self.documents.bulk_write(done, ordered=False) if done else None
        for operation, found, code in zip(operations, keys, codes, strict=True):
            if self._partly and code is not None and isinstance(operation, UpdateMany):
                some = {"_id": {"$in": [one["_id"] for one in found[1::2]]}}
                self.documents.update_many(some, operation._doc)
        errors = [{"index": index, "code": code} for index, code in enumerate(codes) if code is not None]
        if errors:
            counts = {name: answer.bulk_api_result[name] if answer else 0 for name in _COUNTS}
            raise BulkWriteError({**counts, "writeErrors": errors})
        return answer

    def _keys(self, operation: Any) -> list[dict[str, Any]]:
        """What tells whose documents it writes: those that it would change, itself, or its filter."""
        if isinstance(operation, InsertOne):
            return [operation._doc]
        return list(self.documents.find(operation._filter)) or [operation._filter]


def documents(at: datetime = T, mean: float = 1.0) -> list[dict[str, Any]]:
    """One a user."""
    key = {"metricType": "steps", "timeRange": "7day"}
    figures = {"analytics": {"rollingAverage": mean}}
    return [{"userId": user, **key, **figures, "calculatedAt": at} for user in USERS]


def write(server: Any, at: datetime = T, mean: float = 1.0, **options: int) -> WriteResult:
    """The documents of `at`."""
    return write_documents(server, documents(at, mean), USERS, at, CLOCK, **options)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conflicts are tried again at once."""
    monkeypatch.setattr(sinks.health.mongo_upsert, "_WAIT_SECONDS", 0.0)


def test_what_was_refused_as_a_conflict_is_sent_again_until_it_is_written() -> None:
    """Only that; and the counts are those of all tries."""
    refused = [{USERS[1], USERS[7]}, {USERS[7]}]
    server = Server(
        lambda bulk, key: CONFLICT if bulk < len(refused) and key["userId"] in refused[bulk] else None
    )
    assert write(server, threads=1) == WriteResult(inserted=len(USERS))
    assert [len(filters) for _, filters in server.bulks] == [10, 2, 1]


def test_conflicts_that_do_not_end_fail_the_write() -> None:
    """They are neither given up in silence nor taken for faults of the documents."""
    server = Server(lambda _bulk, key: CONFLICT if key["userId"] == USERS[3] else None)
    with pytest.raises(UnavailableError, match="conflicts"):
        write(server)


def test_any_other_refusal_is_a_failed_write_with_its_code_and_the_old_version_stays() -> None:
    """Also of a document that an index of somebody else's refuses; the others of its bulk are written."""
    write(Server(lambda *_: None))
    server = Server(lambda bulk, key: VALIDATION if bulk and key["userId"] == USERS[3] else None)
    assert write(server).inserted == len(USERS)
    done = write(server, T + timedelta(seconds=1))
    assert (done.updated, done.deleted) == (len(USERS) - 1, 0)
    (failure,) = done.failed
    assert (failure.document["userId"], failure.reason) == (USERS[3], "refused by the server (code 121)")
    stored = server.documents.find_one({"userId": USERS[3]})
    assert stored
    assert stored["calculatedAt"] == T


@pytest.mark.parametrize("mean", [1.0, 2.0], ids=["the same content", "other content"])
@pytest.mark.parametrize("partly", [False, True])
@pytest.mark.parametrize("code", [CONFLICT, VALIDATION])
def test_an_error_among_many_is_met_again_by_that_document_alone(
    mean: float, partly: bool, code: int
) -> None:
    """A conflict passes; a refusal is told, and the old version stays. Each other one counts as updated."""
    later = T + timedelta(seconds=1)
    odd = USERS[4]

    def refuse(bulk: int, key: dict[str, Any]) -> int | None:
        is_now = bulk == 1 or (bulk > 1 and code == VALIDATION)
        return code if is_now and key["userId"] == odd else None

    server = Server(refuse, partly)
    write(server)
    done = write(server, later, mean)
    assert [failure.document["userId"] for failure in done.failed] == [odd] * (code == VALIDATION)
    assert (done.updated, done.skipped, done.deleted) == (len(USERS) - len(done.failed), 0, 0)
    for one in server.documents.find():
        expected = (T, 1.0) if done.failed and one["userId"] == odd else (later, mean)
        assert (one["calculatedAt"], one["analytics"]["rollingAverage"]) == expected


def test_a_duplicate_key_is_no_skip_before_a_second_look() -> None:
    """Between our look and our insert another writer has stored an older result, which must not stay."""
    server = Server(lambda bulk, _key: DUPLICATE if bulk == 0 else None)
    server.documents.insert_many(documents(T - timedelta(days=1)))
    assert write(server) == WriteResult(updated=len(USERS))
    assert server.documents.count_documents({"calculatedAt": T}) == len(USERS)


def test_what_is_removed_between_two_looks_is_stored_again() -> None:
    """By an older calculation that found the date wrong, for example: nothing may vanish as skipped."""

    def code(bulk: int, _key: dict[str, Any]) -> int | None:
        if bulk == 1:
            server.documents.delete_many({})
        return None if bulk else DUPLICATE

    server = Server(code)
    server.documents.insert_many(documents(T - timedelta(days=1)))
    assert write(server) == WriteResult(inserted=len(USERS))
    assert server.documents.count_documents({"calculatedAt": T}) == len(USERS)


@pytest.mark.parametrize(
    ("stored", "stays"),
    [
        (T - timedelta(days=1), False),
        (T + timedelta(hours=1), True),
        (T + timedelta(days=2), False),
        ("2026-01-01", False),
        (None, False),
    ],
    ids=["older", "newer", "ahead", "text", "null"],
)
def test_newer_wins_in_the_embedded_store_too(stored: Any, stays: bool) -> None:
    """The demo has it; it knows neither the server's time nor dates that Python has not."""
    server = Server(lambda *_: None)
    ensure_indexes(server.documents)
    server.documents.insert_many([{**document, "calculatedAt": stored} for document in documents()])
    extra = {"userId": USERS[0], "metricType": "weight", "timeRange": "7day", "calculatedAt": stored}
    server.documents.insert_one(extra)
    expected = WriteResult(skipped=len(USERS)) if stays else WriteResult(updated=len(USERS), deleted=1)
    done = write(server)
    assert done == expected
    # What is told at LOG_LEVEL=DEBUG.
    assert set(done.examples) == {"skip" if stays else "update"}
    dates = {document["calculatedAt"] for document in server.documents.find()}
    assert dates == {stored if stays else T}


def test_writers_beside_each_other_have_key_ranges_of_their_own() -> None:
    """Bulks over mixed ranges wait for each other's locks; each thread's keys come in one order."""
    server = Server(lambda *_: None)
    write(server, threads=2, bulk=2)
    ranges: dict[int, list[ObjectId]] = {}
    # A thread that is quick may do both halves.
    for thread, filters in server.bulks:
        ranges.setdefault(thread, []).extend(key["userId"] for key in filters)
    assert sorted(user for users in ranges.values() for user in users) == USERS
    for users in ranges.values():
        places = [USERS.index(user) for user in users]
        steps = [after - before for before, after in itertools.pairwise(places)]
        assert sum(step != 1 for step in steps) <= 1


class Unconfirmed:
    """A collection of a replica set with too few members: it writes, and cannot say that it stays."""

    def __init__(self, stored: Sequence[dict[str, Any]] = ()) -> None:
        self._stored = stored

    def __getattr__(self, _name: str) -> Any:
        return self._write

    def __getitem__(self, _name: str) -> Any:
        return self

    def find(self, *_: Any) -> Sequence[dict[str, Any]]:
        """What was stored before."""
        return self._stored

    def _write(self, operations: Sequence[Any], **_options: Any) -> Any:
        written = len(operations)
        raise BulkWriteError(
            {
                "writeErrors": [],
                "writeConcernErrors": [{"code": 64, "errmsg": "waiting for replication timed out"}],
                "nUpserted": written,
                "nMatched": 0,
            }
        )


def _over(mean: float) -> Callable[[Any], Any]:
    """Write results over those of a mean of 1."""
    earlier = ReadyResults(documents(T - timedelta(days=1))).documents(range(len(USERS)))
    stored = [{**one, "_id": ObjectId()} for one in earlier]
    return lambda _server: write(Unconfirmed(stored), mean=mean)


@pytest.mark.parametrize(
    "writing",
    [
        write,
        _over(1.0),
        _over(2.0),
        lambda server: SalesStore(server).insert([Sale("i1", "c1", T, 100, (("p1", 1),))], 1),
        lambda server: send(server, [swap("p1", None, ("units",), {"units": 1})]),
    ],
    ids=["new results", "the same results", "changed results", "stock's invoices", "stock's totals"],
)
def test_what_no_majority_has_confirmed_does_not_count_as_written(writing: Callable[[Any], Any]) -> None:
    """An election may take it back: the batch is held and comes again."""
    with pytest.raises(UnavailableError, match="has not confirmed"):
        writing(Unconfirmed())
