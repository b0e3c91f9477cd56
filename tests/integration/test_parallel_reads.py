"""READ_PARALLELISM on a real server: the same documents, and the same end when a reader fails."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient, monitoring
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect
from pyspark.sql import SparkSession

from pipelines.health.recompute.on_driver import UserRecompute
from sinks.health.indexes import ensure_indexes
from sources.health.history import read_history
from sources.health.poll import MongoPoll
from sources.mongo_client import MonotonicClock, ServerClock
from tests.support.compare import assert_same_analytics
from tests.support.reference import reference_analytics
from tests.support.toxiproxy import Proxy, through

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
USERS, DAYS = 130, 20


class Commands(monitoring.CommandListener):
    """Counts commands; `at_third_find` is called as the third `find` is sent."""

    def __init__(self, at_third_find: Callable[[], None]) -> None:
        self.begun, self.ended, self.finds = 0, 0, 0
        self.at_third_find = at_third_find
        self._lock = threading.Lock()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        with self._lock:
            self.begun += 1
            self.finds += event.command_name == "find"
            if event.command_name == "find" and self.finds == 3:
                self.at_third_find()

    def succeeded(self, _event: monitoring.CommandSucceededEvent) -> None:
        with self._lock:
            self.ended += 1

    failed = succeeded  # type: ignore[assignment]


@pytest.fixture
def users(database: Database[dict[str, Any]]) -> list[ObjectId]:
    """Each with a document a day, changed at random moments of an hour, many of them at one."""
    rng, source = random.Random(1), database["healthmetrics"]
    found = [ObjectId() for _ in range(USERS)]
    MongoPoll(source, 60, 10).ensure_index()
    source.insert_many(
        {
            "userId": user,
            "date": NOW - timedelta(days=day),
            "metrics": {"steps": 4_000 + rng.randrange(9_000)},
            "source": "manual",
            "updatedAt": NOW - rng.choice([HOUR / 2, HOUR * rng.random()]),
        }
        for user in found
        for day in range(DAYS)
    )
    return found


@pytest.fixture
def breakable(
    mongo_uri: str, mongo_proxy: Proxy, database: Database[dict[str, Any]]
) -> Iterator[tuple[Collection[dict[str, Any]], Commands]]:
    """The source through a door that shuts at the third `find`."""
    commands = Commands(mongo_proxy.cut)
    uri = through(mongo_proxy, mongo_uri)
    client: MongoClient[dict[str, Any]] = MongoClient(
        uri, tz_aware=True, event_listeners=[commands], serverSelectionTimeoutMS=2_000, retryReads=False
    )
    yield client[database.name]["healthmetrics"], commands
    client.close()


def _polled(source: Collection[dict[str, Any]], readers: int) -> list[Any]:
    poll, found = MongoPoll(source, 60, 300, readers), []
    for page in poll.begin(NOW - 2 * HOUR, NOW):
        assert len(page.keys) <= 300
        found += [key for key, _ in page.keys]
        poll.mark_done(page)
    return found


def _no_reader_is_left() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith("reader")]


def test_four_readers_find_what_one_finds(database: Database[dict[str, Any]], users: list[ObjectId]) -> None:
    """Each version once: of a backlog in pages, with a page's worth at one moment, and of histories."""
    source = database["healthmetrics"]
    for readers in (1, 4):
        found = _polled(source, readers)
        assert len(found) == len(set(found)) == USERS * DAYS
        history = [document["_id"] for document in read_history(source, users, readers=readers)]
        assert sorted(history) == sorted(found)


@pytest.mark.parametrize("what", ["poll", "history"])
def test_a_reader_that_fails_ends_all(
    breakable: tuple[Collection[dict[str, Any]], Commands],
    mongo_proxy: Proxy,
    users: list[ObjectId],
    what: str,
) -> None:
    """The server's error comes through, no command goes on, and the next attempt finds everything."""
    source, commands = breakable

    def read() -> list[Any]:
        if what == "poll":
            return _polled(source, 4)
        return [document["_id"] for document in read_history(source, users, chunk=16, readers=4)]

    with pytest.raises(AutoReconnect):
        read()
    assert _no_reader_is_left()
    assert commands.begun == commands.ended
    mongo_proxy.heal()
    assert len(set(read())) == USERS * DAYS


@pytest.mark.parametrize("readers", [1, 4])
def test_who_stops_in_the_middle_leaves_no_read_behind(
    breakable: tuple[Collection[dict[str, Any]], Commands], users: list[ObjectId], readers: int
) -> None:
    """A batch that fails, or a process that ends, drops the histories it had begun to read."""
    source, commands = breakable
    commands.at_third_find = lambda: None
    history = read_history(source, users, chunk=8, readers=readers)
    next(history)
    del history
    assert _no_reader_is_left()
    assert commands.begun == commands.ended <= readers


def test_the_analytics_are_those_of_the_reference(
    spark: SparkSession, database: Database[dict[str, Any]], users: list[ObjectId]
) -> None:
    """Four readers change nothing in what is computed."""
    source, target = database["healthmetrics"], database["analytics"]
    ensure_indexes(target)
    clock = MonotonicClock(ServerClock(database.client))
    UserRecompute(spark, source, target, clock, "UTC", readers=4).run(users, "batch_1", lambda _step: None)
    expected = reference_analytics(list(source.find()), "UTC", datetime.now(timezone.utc).date())
    assert_same_analytics(list(target.find()), expected)
