"""Indexes that others drop come back, and what became possible without them is mended: on the real server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Decimal128, ObjectId
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pyspark.sql import SparkSession

import pipelines.health.upkeep.indexes
import sinks.health.indexes
from contracts import ConfigurationError
from monitoring.health.index_metrics import IndexMetrics
from monitoring.metrics import Metrics
from pipelines.engine import due
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.upkeep.indexes import IndexUpkeep
from sinks.health.indexes import ensure_indexes, missing_indexes, remove_duplicates
from sources.health.poll import MongoPoll
from sources.mongo_client import for_reading
from tests.integration.test_any_cutting import pipeline
from tests.support.clock import Clock
from tests.unit.monitoring.test_metrics import samples

T = datetime(2026, 1, 1, tzinfo=timezone.utc)
_HISTORY = [("userId", 1), ("date", 1)]
USERS = sorted(ObjectId() for _ in range(3))
_DATES = [T, T + timedelta(seconds=1), T + timedelta(days=9_000), DatetimeMS(-(2**53)), "2027-01-01", None, 7]


def _rank(document: dict[str, Any]) -> tuple[bool, int, Any]:
    """Dates before what is none, later dates before earlier ones, of equals the greatest `_id`."""
    date = document.get("calculatedAt")
    if isinstance(date, datetime):
        return True, round(date.timestamp() * 1000), document["_id"]
    return isinstance(date, DatetimeMS), int(date) if isinstance(date, DatetimeMS) else 0, document["_id"]


# The server takes 1 and 1.0 for equal, and texts with other broken bytes (see `_raw`) for different.
_ONES: list[Any] = [1, 1.0, Decimal128("1.0")]
_USER = st.sampled_from([*USERS, "text", None, "caf1", "caf2", *_ONES])
_SPAN = st.sampled_from(["7day", "30day", None])
_STORED = st.tuples(_USER, _SPAN, st.sampled_from(_DATES))
_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def _key(document: dict[str, Any]) -> tuple[Any, ...]:
    user = document.get("userId")
    return 1 if user in _ONES else user, document.get("timeRange")


def _raw(document: dict[str, Any]) -> RawBSONDocument:
    """Two of the user ids are text that is no UTF-8."""
    encoded = bson.encode(document)
    return RawBSONDocument(encoded.replace(b"caf1", b"caf\xff").replace(b"caf2", b"caf\xfe"))


@settings(max_examples=25, deadline=None, suppress_health_check=_CHECKS)
@given(stored=st.lists(_STORED, max_size=25))
def test_of_each_key_the_newest_stays_and_the_unique_index_is_there(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, stored: list[tuple[Any, ...]]
) -> None:
    """Whatever stands there, in any number; among equals always the same one.

    What lacks a part of the key is no result and stays; two of them that the index takes for equal are told.
    """
    monkeypatch.setattr(sinks.health.indexes, "_AT_ONCE", 2)
    database["analytics"].drop()
    documents: list[dict[str, Any]] = [
        {"_id": number, "userId": user, "metricType": "steps", "timeRange": span, "calculatedAt": date}
        for number, (user, span, date) in enumerate(stored)
    ]
    # Null and absent are one to an index.
    for document in documents[::2]:
        for name in [name for name, value in document.items() if value is None]:
            del document[name]
    if documents:
        database["analytics"].insert_many(map(_raw, documents))
    by_key: dict[Any, list[dict[str, Any]]] = {}
    for document in documents:
        by_key.setdefault(_key(document), []).append(document)
    foreign = [same for key, same in by_key.items() if None in key]
    results = [same for key, same in by_key.items() if None not in key]
    if any(len(same) > 1 for same in foreign):
        with pytest.raises(ConfigurationError, match="holds documents that are no results"):
            ensure_indexes(for_reading(database["analytics"]))
    else:
        mended = ensure_indexes(for_reading(database["analytics"]))
        assert missing_indexes(database["analytics"]) == []
        assert mended.duplicates == sum(len(same) - 1 for same in results)
    left = {one["_id"] for one in for_reading(database["analytics"]).find()}
    assert {one["_id"] for same in foreign for one in same} <= left
    for same in results:
        kept = left & {one["_id"] for one in same}
        assert len(kept) == 1
        assert not _is_dated(same) or kept == {max(same, key=_rank)["_id"]}


def test_an_index_that_the_server_refuses_for_any_reason_is_one_sentence(
    database: Database[dict[str, Any]],
) -> None:
    """Here duplicates that no filter can name, because their ids are broken text: both stay."""
    key = {"userId": USERS[0], "metricType": "steps", "timeRange": "7day"}
    database["analytics"].insert_many(_raw({"_id": name, **key}) for name in ("caf1", "caf2"))
    with pytest.raises(ConfigurationError, match="refuses the unique index analytics_unique_key"):
        ensure_indexes(for_reading(database["analytics"]))
    assert database["analytics"].count_documents({}) == 2


@pytest.mark.parametrize("option", [{"sparse": True}, {"partialFilterExpression": {"metricType": "weight"}}])
def test_an_index_that_holds_for_some_results_is_not_ours(
    database: Database[dict[str, Any]], option: dict[str, Any]
) -> None:
    """Ours is made beside it, unless it has our name: then a person drops it."""
    target = database["analytics"]
    fields = [(name, 1) for name in ("userId", "timeRange", "metricType")]
    target.create_index(fields, unique=True, name="another", **option)
    assert ensure_indexes(target).made == ("analytics_unique_key", "analytics_ttl")
    assert missing_indexes(target) == []
    target.drop_indexes()
    target.create_index(fields, unique=True, name="analytics_unique_key", **option)
    with pytest.raises(ConfigurationError, match="an index analytics_unique_key that does not hold for all"):
        ensure_indexes(target)


def _is_dated(documents: list[dict[str, Any]]) -> bool:
    return any(_rank(one)[0] for one in documents)


def test_a_result_that_changes_while_duplicates_are_sought_is_not_removed(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have become the newest: a running writer updates whichever of the two it finds."""
    target = database["analytics"]
    key = {"userId": USERS[0], "metricType": "steps", "timeRange": "7day"}
    target.insert_many(
        [{"_id": 1, **key, "calculatedAt": T}, {"_id": 2, **key, "calculatedAt": T + timedelta(1)}]
    )
    sought = sinks.health.indexes._losers

    def and_written(collection: Any) -> Any:
        found = list(sought(collection))
        target.update_one({"_id": 1}, {"$set": {"calculatedAt": T + timedelta(3)}})
        return iter(found)

    monkeypatch.setattr(sinks.health.indexes, "_losers", and_written)
    assert remove_duplicates(target) == 0
    monkeypatch.undo()
    assert remove_duplicates(target) == 1
    assert [one["_id"] for one in target.find()] == [1]


class Bench:
    """An upkeep with a clock of its own, after its first look."""

    def __init__(self, folder: Path, database: Database[dict[str, Any]], clock: Clock) -> None:
        self.database, self.clock = database, clock
        self._metrics = Metrics(folder)
        self._poll = MongoPoll(database["healthmetrics"], 60, 100)
        self._poll.ensure_index()
        database["healthmetrics"].create_index(_HISTORY)
        ensure_indexes(database["analytics"])
        self.upkeep = self.start(manages_source=True)
        self.upkeep.run_due()

    def start(self, manages_source: bool) -> IndexUpkeep:
        """Another one, which is due at once."""
        metrics = IndexMetrics(self._metrics) if not hasattr(self, "upkeep") else self.upkeep.metrics
        source, target = self.database["healthmetrics"], self.database["analytics"]
        return IndexUpkeep(source, target, self._poll, manages_source, metrics)

    def missing(self) -> list[str]:
        """What is missing now."""
        return [*missing_indexes(self.database["analytics"]), *([] if self._poll.has_index() else ["poll"])]

    def measured(self) -> dict[str, float]:
        """The metrics as the file has them."""
        self._metrics.write()
        found = samples(self._metrics.path)
        return {name.removeprefix("health_"): value for name, value in found.items() if value}


@pytest.fixture
def bench(tmp_path: Path, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Nothing is missing yet."""
    return Bench(tmp_path, database, Clock(monkeypatch, due))


@pytest.mark.parametrize(
    ("harm", "lost"),
    [
        (lambda database: database["analytics"].drop_indexes(), ["analytics_unique_key", "analytics_ttl"]),
        (lambda database: database["healthmetrics"].drop_indexes(), ["poll"]),
        (lambda database: database["analytics"].drop(), ["analytics_unique_key", "analytics_ttl"]),
        (
            lambda database: database.client.drop_database(database.name),
            ["analytics_unique_key", "analytics_ttl", "poll"],
        ),
    ],
    ids=["syncIndexes()", "syncIndexes() of the source", "collection", "database"],
)
def test_what_others_drop_is_back_within_minutes_and_told(
    bench: Bench, capsys: pytest.CaptureFixture[str], harm: Callable[[Any], None], lost: list[str]
) -> None:
    """And a look costs nothing before its time. What was stored twice meanwhile is there once afterwards."""
    harm(bench.database)
    key = {"userId": USERS[0], "metricType": "steps", "timeRange": "7day"}
    twice = "analytics_unique_key" in lost
    if twice:
        bench.database["analytics"].insert_many({**key, "calculatedAt": T + timedelta(n)} for n in (2, 1))
    bench.clock.seconds = 119
    bench.upkeep.run_due()
    assert bench.missing() == lost
    bench.clock.seconds = 120
    bench.upkeep.run_due()
    assert bench.missing() == []
    text, measured = capsys.readouterr().out, bench.measured()
    for name in lost:
        assert name in text
        assert measured[f"indexes_made_total{{{name}}}"] == 1
    still = {name for name in measured if name.startswith("index_missing")}
    # That of the histories is not ours to make.
    assert still == ({"index_missing{history}"} if "poll" in lost else set())
    if twice:
        assert [one["calculatedAt"] for one in bench.database["analytics"].find()] == [T + timedelta(2)]
        assert "1 documents of analytics shared their key" in text
        assert measured["duplicates_removed_total"] == 1


def test_a_source_that_is_not_ours_to_index_is_left_alone_told_once_and_measured(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """MANAGE_SOURCE_INDEX=false; the warning has the command, and ends when somebody has made the index."""
    bench.database["healthmetrics"].drop_index([("updatedAt", 1), ("_id", 1)])
    upkeep = bench.start(manages_source=False)
    for _ in range(3):
        upkeep.run_due()
        bench.clock.seconds += 120
    assert bench.missing() == ["poll"]
    assert bench.measured()["index_missing{poll}"] == 1
    assert capsys.readouterr().out.count("createIndex({updatedAt: 1, _id: 1})") == 1
    bench.database["healthmetrics"].create_index([("updatedAt", 1), ("_id", 1)])
    upkeep.run_due()
    assert "index_missing{poll}" not in bench.measured()


@pytest.mark.parametrize("manages_source", [True, False])
def test_an_index_by_which_histories_are_read_is_told_once_with_its_command(
    bench: Bench, capsys: pytest.CaptureFixture[str], manages_source: bool
) -> None:
    """At the first look of a process, and measured until it is made; a partial one does not do."""
    source = bench.database["healthmetrics"]
    source.drop_index(_HISTORY)
    source.create_index([("userId", 1)], partialFilterExpression={"source": "manual"})
    upkeep = bench.start(manages_source)
    for _ in range(3):
        upkeep.run_due()
        bench.clock.seconds += 120
    assert bench.measured()["index_missing{history}"] == 1
    command = "db.healthmetrics.createIndex({userId: 1, date: 1}, {unique: true})"
    assert capsys.readouterr().out.count(command) == 1
    assert _HISTORY not in [list(one["key"]) for one in source.index_information().values()]
    source.create_index(_HISTORY)
    upkeep.run_due()
    assert "index_missing{history}" not in bench.measured()


def test_a_job_looks_after_its_indexes_when_it_idles_and_in_the_middle_of_a_long_pass(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to change a document, and nobody has to wait for the end of a backlog or a sweep."""
    monkeypatch.setattr(pipelines.health.upkeep.indexes, "_EVERY_SECONDS", 0.0)
    job = pipeline(spark, database, tmp_path)
    database["analytics"].drop_indexes()
    assert job.once(StopFlag())
    assert missing_indexes(database["analytics"]) == []
    now = datetime.now(timezone.utc)
    day = {"userId": USERS[0], "date": now, "metrics": {"steps": 5}, "source": "manual", "updatedAt": now}
    database["healthmetrics"].insert_one(day)
    database["analytics"].drop_indexes()
    seen: list[list[str]] = []
    job.full.run(StopFlag(), between=lambda: seen.append(missing_indexes(database["analytics"])))
    assert seen == [[]]
