"""The self-test on the real server: right, unnoticed by a stream, and gone without a trace."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pyspark.sql import SparkSession

from contracts import ConfigurationError
from contracts.health import PHONE_SOURCES
from pipelines.health import selftest
from pipelines.health.recompute.on_driver import UserRecompute
from pipelines.health.selftest import Outcome, run_selftest
from pipelines.health.worked_example import EXPECTED, found_figures
from sources.health.poll import MongoPoll
from sources.mongo_client import MonotonicClock, ServerClock
from tests.support.mongo_doors import SecureDoor, run_script


class Bench:
    """Runs the self-test on the fresh database."""

    def __init__(self, spark: SparkSession, database: Database[dict[str, Any]]) -> None:
        self._spark = spark
        self.source, self.target = database["healthmetrics"], database["analytics"]
        self.clock = MonotonicClock(ServerClock(database.client))

    def run(self, source: Any = None) -> Outcome:
        """With another collection in the source's place if given."""
        source = self.source if source is None else source
        return run_selftest(self._spark, source, self.target, self.clock, "UTC", PHONE_SOURCES)

    def left(self) -> int:
        """Documents in both collections."""
        return self.source.count_documents({}) + self.target.count_documents({})


@pytest.fixture
def bench(spark: SparkSession, database: Database[dict[str, Any]]) -> Bench:
    """On an empty database."""
    return Bench(spark, database)


def test_every_figure_of_the_worked_example_is_found_and_nothing_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else is in the collections is not touched, and whichever phones count."""
    monkeypatch.setenv("PHONE_SOURCES", "healthconnect")
    neighbour = {"userId": ObjectId(), "updatedAt": datetime.now(timezone.utc)}
    bench.source.insert_one(neighbour)
    bench.target.insert_one(dict(neighbour))
    outcome = bench.run()
    assert found_figures(outcome.documents) == EXPECTED
    assert outcome.remaining == 0
    assert bench.left() == 2


def test_the_documents_go_also_after_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after Ctrl+C, which is an exception like any other here; they were there until then."""

    def interrupted(*_arguments: Any) -> None:
        assert bench.left() == 14
        raise KeyboardInterrupt

    monkeypatch.setattr(UserRecompute, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert bench.left() == 0


def test_what_a_killed_self_test_left_goes_at_the_next(bench: Bench) -> None:
    """After an hour: a self-test that still runs elsewhere must keep its documents."""
    now = round(datetime.now(timezone.utc).timestamp())
    old, running = selftest._user(now - 7_200), selftest._user(now - 60)
    for collection in (bench.source, bench.target):
        collection.insert_many([{"userId": old}, {"userId": running}, {"userId": ObjectId()}])
    bench.run()
    assert bench.left() == 4
    assert bench.source.count_documents({"userId": old}) == 0


def test_a_stream_never_sees_the_scratch_user(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll from the default cursor of 30 days ago delivers no page while the documents are there."""
    pages: list[Any] = []

    def poll(*_arguments: Any) -> None:
        assert bench.source.count_documents({}) == 14
        now = bench.clock.now()
        pages.extend(MongoPoll(bench.source, 60, 100).begin(now - timedelta(days=30), now))
        raise KeyboardInterrupt

    monkeypatch.setattr(UserRecompute, "run", poll)
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert pages == []


def test_a_user_who_may_not_write_is_told_so(bench: Bench, secure_door: SecureDoor) -> None:
    """The service itself never writes to the source, so its user may well lack the right."""
    bench.source.insert_one({"_id": 1})
    limited: MongoClient[dict[str, Any]] = MongoClient(run_script("limited"))
    name = bench.source.database.name
    run_script("grant", name, "healthmetrics", "read")
    with pytest.raises(ConfigurationError, match="may not write there"):
        bench.run(limited[name]["healthmetrics"])
    limited.close()
    assert bench.left() == 1
