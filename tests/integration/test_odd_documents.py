"""Whatever lies in the database, every command and every read comes through; a bad letter stops no other."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ExecutionTimeout
from pyspark.sql import SparkSession
from rich.console import Console
from typer.testing import CliRunner

from analytics.health.validation import DayRules
from commands.batch_results import RunResults, print_results, results_since
from commands.inspect_database import overview
from commands.inspect_tables import print_overview, print_user
from commands.user_view import view_user
from contracts.health import PHONE_SOURCES
from dashboard.data.recent import read_recent
from dashboard.data.user import read_user
from main import app
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import HealthPipeline
from pipelines.health.selftest import run_selftest
from pipelines.health.upkeep.drift import look
from sinks.health.indexes import ensure_indexes
from sources.health.poll import MongoPoll
from sources.health.versions import between
from sources.mongo_client import connect
from tests.integration.test_any_cutting import pipeline

NOW = datetime.now(timezone.utc).replace(microsecond=0)
TODAY = NOW.replace(hour=0, minute=0, second=0)
USER = ObjectId()
# Beyond Python's years on both sides, as far as 64 bits go, and at their edges; then every other type.
ODD: tuple[Any, ...] = (
    *(DatetimeMS(ms) for ms in (-62_167_219_200_000, 8_640_000_000_000_000, -(2**63), 2**63 - 1)),
    *(DatetimeMS(ms) for ms in (-62_135_596_800_001, 253_402_300_800_000)),
    datetime(1, 1, 1, tzinfo=timezone.utc),
    datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=timezone.utc),
    *(Decimal128(text) for text in ("NaN", "-Infinity", "1E+6000", "7.25")),
    *(Int64(-(2**63)), Int64(2**63 - 1), float("nan"), float("-inf"), 5e-324, -0.0),
    *(Binary(b"short", 4), Binary(b"", 3), Binary(uuid.UUID(int=7).bytes, 4), Binary(b"x", 128)),
    *(Regex("a*", "i"), Code("x"), Timestamp(2**32 - 1, 1), MinKey(), MaxKey(), None, True, "[/b] [red"),
    *([DatetimeMS(2**62)], {"date": DatetimeMS(-(2**62))}, {}, []),
    # An array with an id is found wherever that id, or any id, is asked for.
    *([USER], [ObjectId()], [{}], [{"date": TODAY, "value": "x"}], {"detectedAt": 5}),
)
DAY = {"userId": USER, "date": TODAY, "updatedAt": NOW, "source": "manual", "metrics": {"steps": 5_000}}
RESULT: dict[str, Any] = {
    "userId": USER, "metricType": "steps", "timeRange": "7day", "period": "week", "calculatedAt": NOW,
    "expiresAt": NOW + timedelta(days=90), "createdAt": NOW,
    "historicalData": [{"date": TODAY, "value": 1.0}],
    "analytics": {
        "rollingAverage": 1.0, "trend": "stable", "trendPercentage": 0.0, "streakDays": 0, "longestStreak": 0,
        "streakStartDate": None, "percentile": 50.0, "anomalyDetected": False, "anomalyDetails": None,
    },
}  # fmt: skip


def _variants(document: dict[str, Any], fields: list[str]) -> Iterator[dict[str, Any]]:
    """`document` with each odd value in each of its fields (`a.b` is a nested one), and without the field."""
    for field in fields:
        outer, _, inner = field.partition(".")
        for value in ODD:
            yield {**document, outer: {**document[outer], inner: value} if inner else value}
        yield {name: value for name, value in document.items() if name != outer}


@pytest.fixture
def odd(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """Both collections full of them, the results beside one another without the unique index."""
    fields = [
        "_id",
        "userId",
        "date",
        "updatedAt",
        "source",
        "metrics",
        "metrics.steps",
        "extra",
        "heartRate",
    ]
    _insert(database["healthmetrics"], _variants({**DAY, "extra": 0, "heartRate": None}, fields))
    _insert(database["analytics"], _results())
    MongoPoll(database["healthmetrics"], 60, 10).ensure_index()
    database["analytics"].create_index([("userId", 1), ("timeRange", 1), ("metricType", 1)])
    database["analytics"].create_index("expiresAt")
    return database


def _results() -> Iterator[dict[str, Any]]:
    """Odd results of every range; those of the longest tell an anomaly."""
    nested = [f"analytics.{name}" for name in RESULT["analytics"]]
    for time_range, found in (("7day", False), ("30day", False), ("90day", True)):
        analytics = {**RESULT["analytics"], "anomalyDetected": found}
        document = {**RESULT, "timeRange": time_range, "analytics": analytics}
        yield from _variants(document, [*RESULT, "_id", "extra", *nested])


def _insert(collection: Any, documents: Iterator[dict[str, Any]]) -> None:
    # Two of one key, or a type that this server does not have.
    with suppress(BulkWriteError):
        collection.insert_many(list(documents), ordered=False)


COMMANDS = (
    "check", "check --json", "inspect", "inspect --json",
    f"inspect --user {USER}", f"inspect --user {USER} --json",
    "checkpoint show", "checkpoint set 2020-01-01 --dry-run", "checkpoint reset --dry-run", "dlq list",
)  # fmt: skip


def test_every_command_comes_through(
    mongo_uri: str, odd: Database[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One document that cannot be decoded, or shown, must not hide all others from a person."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URI", mongo_uri)
    monkeypatch.setenv("MONGO_DB_NAME", odd.name)
    done = {command: CliRunner().invoke(app, command.split()) for command in COMMANDS}
    failed = {
        command: result.exception
        for command, result in done.items()
        if result.exception is not None and not isinstance(result.exception, SystemExit)
    }
    assert failed == {}
    results = connect(mongo_uri)[odd.name]["analytics"]
    assert read_recent(results).documents
    assert ("steps", "7day") in read_user(results, str(USER))


def test_whatever_is_newest_is_shown(odd: Database[dict[str, Any]], mongo_uri: str) -> None:
    """By `inspect`, and at the end of a one-shot run."""
    database, screen = connect(mongo_uri)[odd.name], Console(quiet=True, markup=False)
    source, results = database["healthmetrics"], database["analytics"]
    facts = overview(source, results, NOW + timedelta(hours=1), NOW, PHONE_SOURCES)
    dated = [each for each in source.find() if isinstance(each.get("updatedAt"), datetime)]
    facts["cursor_origin"] = "file"
    print_overview({**facts, "newest_documents": dated, "newest_results": list(results.find())}, screen)
    documents = list(_results())
    for start in range(0, len(documents), 100):
        results.delete_many({})
        _insert(results, iter(documents[start : start + 100]))
        print_results(results_since(results, NOW - timedelta(days=1)), screen)


def test_what_a_one_shot_run_shows_is_found_by_index_and_fails_no_run(
    mongo_uri: str, database: Database[dict[str, Any]]
) -> None:
    """All work is done by then."""
    results = connect(mongo_uri)[database.name]["analytics"]
    ensure_indexes(results)
    asked: list[Any] = []

    def find(condition: Any) -> Any:
        asked.append(condition)
        return results.find(condition)

    target: Any = SimpleNamespace(find=find, aggregate=results.aggregate)
    assert results_since(target, NOW) == RunResults([], 0, 0)
    plan = results.find(asked[0]).sort("expiresAt", -1).explain()["queryPlanner"]
    assert "analytics_ttl" in str(plan)
    target.find = Mock(side_effect=ExecutionTimeout("too long"))
    assert results_since(target, NOW) == RunResults([], None, None)


@pytest.mark.parametrize("days", [0, 1, 28, 29, 40])
def test_a_user_of_the_year_1_is_shown(mongo_uri: str, database: Database[dict[str, Any]], days: int) -> None:
    """The days before the newest may lie before the calendar."""
    day = datetime(1, 1, 1, tzinfo=timezone.utc) + timedelta(days=days)
    database["healthmetrics"].insert_one({**DAY, "date": day})
    read = connect(mongo_uri)[database.name]
    view = view_user(read["healthmetrics"], read["analytics"], USER, DayRules.at(NOW), 30, NOW)
    assert view.days[-1] == day
    assert len(view.days) == min(30, days + 1)
    print_user(view, Console(quiet=True, markup=False))


def test_a_comparison_sees_the_users_beside_them(odd: Database[dict[str, Any]], mongo_uri: str) -> None:
    """A sound user whose analytics are missing, and one of whose documents and results all are odd."""
    database, other, now = connect(mongo_uri)[odd.name], ObjectId(), NOW + timedelta(hours=1)
    odd["healthmetrics"].insert_one({**DAY, "userId": other})
    found = look(database["healthmetrics"], database["analytics"], between(None, None), DayRules.at(now), now)
    assert found[other].drift == "missing"
    assert found[USER].drift


def _job(spark: SparkSession, database: Database[dict[str, Any]], folder: Path) -> HealthPipeline:
    # Odd results would keep the unique index from being made, which is another story.
    database["analytics"].delete_many({})
    database["analytics"].drop_indexes()
    ensure_indexes(database["analytics"])
    of_others = ({**each, "userId": ObjectId()} for each in _results() if each.get("userId") == USER)
    _insert(database["analytics"], chain(_variants(RESULT, ["userId"]), of_others))
    job = pipeline(spark, database, folder)
    job.cursor.set(NOW - timedelta(days=1), NOW)
    return job


def test_every_pass_comes_through(spark: SparkSession, odd: Database[dict[str, Any]], tmp_path: Path) -> None:
    """The poll, the retry of its letters, the audit, a full pass, the self-test, what one-shot runs show."""
    job = _job(spark, odd, tmp_path)
    assert job.batch.drain(StopFlag()), job.reporting.history.recent()
    letters = len(job.letters.letters.list())
    outcome = job.letters.run(job.letters.letters.list())
    assert len(outcome.kept) == letters > 100
    job.reconciliation.run(StopFlag())
    job.full.run(StopFlag())
    selftest = run_selftest(spark, odd["healthmetrics"], odd["analytics"], job.clock, "UTC", PHONE_SOURCES)
    assert selftest.remaining == 0
    print_results(results_since(job.target, NOW - timedelta(days=1)), Console(quiet=True))


def test_a_letter_of_an_odd_document_is_counted_like_any_other(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """It was the end of the retry: the letters behind it were never tried, although theirs were mended."""
    odd = [{**DAY, "_id": number, "userId": ObjectId(), "date": value} for number, value in enumerate(ODD)]
    mended = {**DAY, "_id": "mended", "metrics": {"steps": "many"}}
    database["healthmetrics"].insert_many([*odd, mended])
    job = pipeline(spark, database, tmp_path)
    job.cursor.set(NOW - timedelta(days=1), NOW)
    assert job.batch.drain(StopFlag()), job.reporting.history.recent()
    queue = job.letters.letters
    before = {letter.record["_id"] for letter in queue.list()}
    assert len(before) > 20
    database["healthmetrics"].update_one({"_id": "mended"}, {"$set": {"metrics.steps": 7_000}})
    outcome = job.letters.run(queue.list())
    assert len(outcome.resolved) == 1
    assert {letter.record["_id"]: letter.attempts for letter in queue.list()} == dict.fromkeys(
        before - {"mended"}, 1
    )
