"""The queue of notices: what is told is what is stored, nobody waits for it, and everything is counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import mongomock
import pytest
from bson import ObjectId
from pydantic import SecretStr
from pymongo.errors import ServerSelectionTimeoutError

from sinks.health.backend_client import BackendClient
from sinks.health.backend_notices import BackendNotices
from sinks.health.circuit_breaker import CircuitBreaker
from tests.support.fake_backend import TOKEN, FakeBackend
from tests.support.waiting import wait_for
from tests.unit.sinks.health.test_backend_payloads import document

THEN = datetime(2025, 7, 1, 12, tzinfo=timezone.utc)
WAIT_SECONDS = 120.0


class Bench:
    """Stored analytics in an embedded collection, a backend, and a queue between them that is not started."""

    def __init__(
        self,
        per_second: float = 1000.0,
        max_waiting: int = 1000,
        open_seconds: float = 0.3,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.analytics: Any = mongomock.MongoClient(tz_aware=True)["x"]["analytics"]
        self.backend = FakeBackend()
        self.counts: Counter[str] = Counter()
        self.closing = threading.Event()
        self.breaker = CircuitBreaker(failures=3, open_seconds=open_seconds)
        client = BackendClient(
            self.backend.address,
            SecretStr(TOKEN),
            self.breaker,
            self.closing,
            timeout_seconds,
            first_wait_seconds=0.01,
        )
        self.notices = BackendNotices(
            self.analytics, client, self.breaker, self.closing, per_second, self._note, max_waiting
        )

    def _note(self, outcome: str, amount: int, notified: int) -> None:
        self.counts[outcome] += amount
        self.counts["notified"] += notified

    def write(self, user: ObjectId, calculated_at: datetime = THEN, documents: int = 1) -> ObjectId:
        """Store so many analytics as a batch would, and publish the user."""
        for number in range(documents):
            stored = document(userId=user, calculatedAt=calculated_at)
            self.analytics.insert_one({**stored, "metricType": f"m{number}"})
        self.notices.publish([user], calculated_at)
        return user

    def told(self) -> list[str]:
        """The users of the notices that were taken."""
        return [notice["userId"] for notice in self.backend.events]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until it holds."""
        wait_for(condition, lambda: self.counts, pause_seconds=0.005)


@pytest.fixture
def make() -> Iterator[Callable[..., Bench]]:
    """Makes benches and closes them."""
    made: list[Bench] = []

    def one(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield one
    for bench in made:
        bench.backend.released.set()
        bench.notices.close(5)
        bench.backend.down()


def test_a_written_user_is_told_once_in_events_of_50(make: Callable[..., Bench]) -> None:
    """Numbered from 1; connections that heard it are counted."""
    bench = make()
    user = ObjectId()
    bench.backend.connections[str(user)] = 2
    bench.notices.start()
    bench.write(user, documents=60)
    bench.wait(lambda: bench.counts["sent"] == 2)
    assert [notice["data"]["count"] for notice in bench.backend.events] == [50, 10]
    assert [notice["data"]["batchIndex"] for notice in bench.backend.events] == [1, 2]
    assert bench.counts["notified"] == 4
    items = [item for notice in bench.backend.events for item in notice["data"]["analytics"]]
    assert all(item["period"] == "week" and item["historicalData"] for item in items)


def test_only_what_the_batch_really_wrote_is_told(make: Callable[..., Bench]) -> None:
    """Documents that a newer writer holds are left out, and a user who has only such ones gets no notice."""
    bench = make()
    mixed, superseded = ObjectId(), ObjectId()
    bench.write(mixed)
    later = document("weight", userId=mixed, calculatedAt=THEN + timedelta(seconds=1))
    bench.analytics.insert_one(later)
    bench.write(superseded, THEN + timedelta(seconds=5))
    bench.notices.publish([superseded], THEN)
    bench.notices.start()
    bench.wait(lambda: bench.counts.total() >= 2)
    assert bench.told() == [str(mixed)]
    assert bench.backend.events[0]["data"]["count"] == 1
    assert bench.counts == {"sent": 1, "nothing_stored": 1, "notified": 0}


def test_a_user_who_is_recomputed_while_waiting_gets_one_event(make: Callable[..., Bench]) -> None:
    """The newest, at the place where the user stood."""
    bench = make()
    first, second = ObjectId(), ObjectId()
    bench.notices.publish([first], THEN - timedelta(seconds=9))
    bench.write(second)
    bench.write(first)
    bench.notices.start()
    bench.wait(lambda: bench.counts["sent"] == 2)
    assert bench.told() == [str(first), str(second)]


def test_publishing_never_waits(make: Callable[..., Bench]) -> None:
    """10 000 users while the backend hangs: done before it answers, the oldest dropped and counted."""
    bench = make(max_waiting=100)
    bench.backend.delay_seconds = 3_600.0
    bench.notices.start()
    bench.write(ObjectId())
    bench.wait(lambda: bool(bench.backend.requests))
    users = [ObjectId() for _ in range(10_000)]
    started = time.monotonic()
    bench.notices.publish(users, THEN)
    assert time.monotonic() - started < 30
    assert bench.notices.waiting == 100
    assert bench.counts["queue_full"] == 9_900


def test_the_newest_are_kept(make: Callable[..., Bench]) -> None:
    """Who was recomputed last is most likely to be looking."""
    bench = make(max_waiting=2)
    users = [bench.write(ObjectId()) for _ in range(4)]
    bench.notices.start()
    bench.wait(lambda: bench.counts["sent"] == 2)
    assert bench.told() == [str(user) for user in users[2:]]
    assert bench.counts["queue_full"] == 2


def test_the_rate_is_kept(make: Callable[..., Bench]) -> None:
    """Requests are at least 1/NOTICES_PER_SECOND apart."""
    bench = make(per_second=20)
    for _ in range(5):
        bench.write(ObjectId())
    started = time.monotonic()
    bench.notices.start()
    bench.wait(lambda: bench.counts["sent"] == 5)
    assert time.monotonic() - started >= 4 / 20


def test_users_wait_while_the_backend_is_away_and_are_told_when_it_is_back(
    make: Callable[..., Bench],
) -> None:
    """The open breaker keeps them; after the probe succeeded everybody is told."""
    bench = make()
    bench.backend.down()
    bench.notices.start()
    lost = bench.write(ObjectId())
    # The breaker opens a moment before the user is counted.
    bench.wait(lambda: bench.counts["unreachable"] == 1)
    assert bench.breaker.is_open
    bench.backend.up()
    waiting = [bench.write(ObjectId()) for _ in range(3)]
    bench.wait(lambda: bench.counts["sent"] == 3)
    assert bench.told() == [str(user) for user in waiting]
    assert str(lost) not in bench.told()
    assert not bench.breaker.is_open


def test_a_failing_probe_costs_one_event_and_opens_it_again(make: Callable[..., Bench]) -> None:
    """One request per opening, not one per user."""
    bench = make(open_seconds=0.2)
    bench.backend.broken = 500
    bench.notices.start()
    for _ in range(10):
        bench.write(ObjectId())
    bench.wait(lambda: bench.counts["server_error"] == 3)
    assert len(bench.backend.requests) == 3 + 2
    assert bench.breaker.is_open


def test_a_bad_request_stops_nobody_else(make: Callable[..., Bench]) -> None:
    """It is about one notice: counted, the next is sent."""
    bench = make()
    bench.backend.broken = 400
    bench.notices.start()
    for _ in range(5):
        bench.write(ObjectId())
    bench.wait(lambda: bench.counts["bad_request"] == 5)
    bench.backend.broken = None
    bench.write(ObjectId())
    bench.wait(lambda: bench.counts["sent"] == 1)


def test_what_cannot_be_read_or_encoded_is_counted_and_stops_nobody(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread lives on: a database that is away, and a value no JSON has."""
    bench = make()
    odd = ObjectId()
    bench.analytics.insert_one(
        document(userId=odd, calculatedAt=THEN, analytics={"rollingAverage": float("nan")})
    )
    bench.notices.publish([odd], THEN)
    bench.notices.start()
    bench.wait(lambda: bench.counts["not_encodable"] == 1)

    def away(*_: Any, **__: Any) -> Any:
        raise ServerSelectionTimeoutError("away")

    with monkeypatch.context() as patch:
        patch.setattr(bench.analytics, "find", away)
        bench.write(ObjectId())
        bench.wait(lambda: bench.counts["database_error"] == 1)
    bench.write(ObjectId())
    bench.wait(lambda: bench.counts["sent"] == 1)


def test_even_a_bug_does_not_end_the_thread(make: Callable[..., Bench]) -> None:
    """A document without the fields of the contract, written by somebody else."""
    bench = make()
    foreign = ObjectId()
    bench.analytics.insert_one({"userId": foreign, "calculatedAt": THEN})
    bench.notices.publish([foreign], THEN)
    bench.notices.start()
    bench.write(ObjectId())
    bench.wait(lambda: bench.counts["sent"] == 1)
    assert bench.counts["error"] == 1


def test_closing_sends_what_waits(make: Callable[..., Bench]) -> None:
    """A healthy backend gets everything before the end; a second close changes nothing."""
    bench = make()
    bench.notices.start()
    for _ in range(20):
        bench.write(ObjectId())
    bench.notices.close(WAIT_SECONDS)
    bench.notices.close(WAIT_SECONDS)
    assert bench.counts["sent"] == 20
    assert bench.counts["shutdown"] == 0


@pytest.mark.parametrize("trouble", ["slow", "away", "open"])
def test_closing_does_not_wait_for_a_backend_in_trouble(make: Callable[..., Bench], trouble: str) -> None:
    """Those who were not told are counted."""
    bench = make(open_seconds=60)
    if trouble == "slow":
        bench.backend.delay_seconds = 3_600.0
    else:
        bench.backend.down()
    bench.notices.start()
    bench.write(ObjectId())
    if trouble == "open":
        bench.wait(lambda: bench.breaker.is_open)
    for _ in range(50):
        bench.write(ObjectId())
    started = time.monotonic()
    bench.notices.close(1.0)
    # The time it was given, not that of the backend.
    assert time.monotonic() - started < 30
    assert bench.counts["shutdown"] >= 40
    assert bench.notices.waiting == 0


def test_a_queue_that_never_started_can_be_closed(make: Callable[..., Bench]) -> None:
    """A run that failed at its start closes what it made."""
    bench = make()
    bench.write(ObjectId())
    bench.notices.close(1.0)
    assert bench.counts["shutdown"] == 1


def test_closing_ends_at_the_first_failure(make: Callable[..., Bench]) -> None:
    """A one-shot run may wait long for a backend that works, but not for one that fails slowly."""
    bench = make(timeout_seconds=0.5)
    bench.backend.delay_seconds = 60.0
    bench.notices.start()
    for _ in range(20):
        bench.write(ObjectId())
    bench.notices.close(WAIT_SECONDS)
    assert bench.counts["timeout"] == 1
    assert bench.counts["shutdown"] == 19
