"""`main.py check` on the real server: what is wrong there is told, and nothing is left behind."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId
from pydantic import SecretStr
from pymongo.database import Database as MongoDatabase

from commands.checks import database as checks
from commands.checks import documents
from commands.checks.result import CheckResult
from settings import load
from sinks.health.indexes import ensure_indexes
from sources.health.poll import MongoPoll
from tests.support.mongo_doors import SecureDoor, run_script


@pytest.fixture
def opened(mongo_uri: str, database: MongoDatabase[dict[str, Any]]) -> checks.Database:
    """The fresh database, with one document that counts."""
    now = datetime.now(timezone.utc)
    database["healthmetrics"].insert_one(
        {"userId": ObjectId(), "date": now, "updatedAt": now, "source": "manual"}
    )
    return checks.Database.open(load(env_file=None, mongo_uri=mongo_uri, mongo_db_name=database.name))


@pytest.fixture
def limited(opened: checks.Database, secure_door: SecureDoor) -> checks.Database:
    """The same database as somebody who may do only what was granted; both collections exist."""
    opened.target.insert_one({})
    settings = opened.settings.model_copy(update={"mongo_uri": SecretStr(run_script("limited"))})
    return checks.Database.open(settings)


def test_missing_rights_are_told_with_the_role_to_grant(limited: checks.Database) -> None:
    """Reading and writing apart: without any right, then with the one to read the source."""
    assert _found(checks.can_read(limited)) == ("failed", "not allowed")
    assert "`read`" in checks.can_read(limited).remedy
    run_script("grant", limited.settings.mongo_db_name, "healthmetrics", "read")
    assert checks.can_read(limited).status == "ok"
    assert _found(checks.can_write(limited)) == ("failed", "not allowed")
    assert "`readWrite`" in checks.can_write(limited).remedy
    run_script("grant", limited.settings.mongo_db_name, "analytics", "write")
    assert checks.can_write(limited).status == "ok"


def test_a_wrong_password_is_told_as_such(secure_door: SecureDoor, opened: checks.Database) -> None:
    """Where to look is in the remedy; the password tried is nowhere."""
    wrong = opened.settings.model_copy(update={"mongo_uri": SecretStr(secure_door.uri("nobody", "hunter2"))})
    result = checks.reachable(checks.Database.open(wrong))
    assert result.status == "failed"
    assert "authSource" in result.remedy
    assert "hunter2" not in str(result)


def _found(result: CheckResult) -> tuple[str, str]:
    return result.status, result.detail


def test_a_server_ready_for_the_service_passes(opened: checks.Database) -> None:
    """Reachable, readable, writable, indexed, in time; the probe leaves no document."""
    MongoPoll(opened.source, 0, 1).ensure_index()
    opened.source.create_index([("userId", 1), ("date", 1)], unique=True)
    ensure_indexes(opened.target)
    looks = (
        checks.reachable,
        checks.can_read,
        checks.can_write,
        checks.poll_index,
        checks.history_index,
        checks.result_indexes,
        documents.unseen_documents,
        documents.writers_clocks,
        documents.sources,
        documents.user_ids,
        documents.local_days,
    )
    assert [_found(look(opened)) for look in looks if look(opened).status != "ok"] == []
    assert opened.target.count_documents({}) == 0
    assert "version" in checks.reachable(opened).detail
    # The clocks are the machine's own business; what is measured between two programs on one is tiny.
    assert checks.clock_skew(opened).status == "ok"


def test_missing_indexes_are_warnings_because_the_service_creates_them(opened: checks.Database) -> None:
    """Unless it was told to leave the source alone: then the command that creates it is the remedy."""
    assert checks.poll_index(opened).status == checks.result_indexes(opened).status == "warning"
    assert "analytics_unique_key, analytics_ttl" in checks.result_indexes(opened).detail
    told_off = checks.Database(
        opened.settings.model_copy(update={"manage_source_index": False}), opened.client
    )
    assert "createIndex({updatedAt: 1, _id: 1})" in checks.poll_index(told_off).remedy


def test_a_history_without_index_is_a_warning(opened: checks.Database) -> None:
    """Each recomputation would read the whole collection; told with the command, whatever else is missing."""
    opened.source.create_index([("userId", 1)], partialFilterExpression={"source": "manual"})
    assert checks.history_index(opened).status == "warning"
    assert "db.healthmetrics.createIndex({userId: 1, date: 1}" in checks.history_index(opened).remedy


def test_duplicates_in_the_way_of_the_unique_index_are_named(opened: checks.Database) -> None:
    """The service removes them by itself, so nobody is asked to drop anything."""
    key = {"userId": ObjectId(), "timeRange": "7day", "metricType": "steps"}
    opened.target.insert_many([dict(key), dict(key)])
    result = checks.result_indexes(opened)
    assert result.status == "warning"
    assert f"{key['userId']}/7day/steps" in result.detail
    assert "drop" not in result.remedy.lower()


def test_what_keeps_an_index_of_the_results_from_being_made_is_a_failure(opened: checks.Database) -> None:
    """Documents of another program, and an index of our name that holds for some results alone."""
    opened.target.insert_many([{"event": "login"}, {"event": "logout"}])
    assert checks.result_indexes(opened).status == "failed"
    assert "holds documents that are no results" in checks.result_indexes(opened).detail
    opened.target.create_index("expiresAt", name="analytics_ttl")
    assert checks.result_indexes(opened).status == "failed"
    assert "dropIndex('analytics_ttl')" in checks.result_indexes(opened).remedy


def test_an_empty_source_is_a_warning(opened: checks.Database) -> None:
    """A wrong MONGO_DB_NAME looks like this."""
    opened.source.drop()
    assert checks.can_read(opened).status == "warning"


def test_documents_that_the_poll_cannot_see_are_named(opened: checks.Database) -> None:
    """Undated ones, and those dated more than a day ahead; each kind with its number and an id."""
    far = datetime.now(timezone.utc) + timedelta(days=3)
    opened.source.insert_many(
        [{"_id": "undated"}, {"_id": "text", "updatedAt": "x"}, {"_id": 9, "updatedAt": far}]
    )
    result = documents.unseen_documents(opened)
    assert result.status == "warning"
    lines = result.detail.splitlines()
    assert [line.split(":")[0] for line in lines] == ["1", "1", "1"]
    assert "'undated'" in lines[0]
    assert "'text'" in lines[1]
    assert "9" in lines[2]
    assert "waits for its time" in result.remedy


def test_zero_dates_are_named_with_the_way_to_get_them_counted(opened: checks.Database) -> None:
    """They lie behind every cursor."""
    opened.source.insert_one({"updatedAt": datetime(1970, 1, 1, tzinfo=timezone.utc)})
    result = documents.unseen_documents(opened)
    assert result.detail.startswith("1: updatedAt lies before the document can have been made (_id ")
    assert "--full" in result.remedy


def test_a_writer_whose_clock_is_fast_is_told_with_how_much(opened: checks.Database) -> None:
    """Less than a minute is nothing that anybody sees."""
    now = datetime.now(timezone.utc)
    opened.source.insert_one({"updatedAt": now + timedelta(seconds=50)})
    assert documents.writers_clocks(opened).status == "ok"
    opened.source.insert_one({"updatedAt": now + timedelta(hours=5.5, minutes=1)})
    result = documents.writers_clocks(opened)
    assert result.status == "warning"
    assert "2 documents are dated ahead, the farthest by 5.5 hours" in result.detail
    assert "NTP" in result.remedy


def test_sources_that_count_for_nobody_are_told_by_value(opened: checks.Database) -> None:
    """What the contract leaves out (import, wearables) is no fault; a new phone is, until it is set."""
    now = datetime.now(timezone.utc)
    usual = {"userId": ObjectId(), "updatedAt": now, "source": "manual"}
    for change in ({"source": "import"}, {"heartRate": 60}, {"metrics": {"bloodOxygen": 0}}):
        opened.source.insert_one({**usual, **change})
    assert documents.sources(opened).status == "ok"
    assert "1 × source:import" in documents.sources(opened).detail
    opened.source.insert_many([{**usual, "source": "healthconnect"}, {**usual, "source": 5}])
    opened.source.insert_many({**usual, "source": f"id {number}\x1b[2J" * 500} for number in range(40))
    result = documents.sources(opened)
    assert result.status == "warning"
    assert "other kinds" in result.detail
    assert result.detail.isprintable()
    assert len(result.detail) < 500
    assert "PHONE_SOURCES (now googlefit,manual)" in result.remedy
    opened.source.delete_many({"source": {"$nin": ["manual", "import", "healthconnect"]}})
    assert "1 × source:healthconnect" in documents.sources(opened).detail
    chosen = opened.settings.model_copy(update={"phone_sources": "manual,healthconnect"})
    assert documents.sources(checks.Database(chosen, opened.client)).status == "ok"


def test_user_ids_of_other_types_are_told_with_an_example(opened: checks.Database) -> None:
    """Nothing is computed of them, and nobody else counts them."""
    opened.source.insert_many([{"userId": "5f0000000000000000000001"}, {"userId": 12}, {"userId": 13}])
    result = documents.user_ids(opened)
    assert result.status == "warning"
    lines = result.detail.splitlines()
    assert lines == [
        "1: userId is text, for example '5f0000000000000000000001'",
        "2: userId is an integer, for example 12",
    ]
    assert "$toObjectId" in result.remedy


def test_days_of_another_zone_are_told_with_its_name(opened: checks.Database) -> None:
    """A year of London's midnights, half of which are midnights of UTC too."""
    user, now = ObjectId(), datetime.now(timezone.utc)
    london = ZoneInfo("Europe/London")
    opened.source.create_index([("userId", 1), ("date", 1)])
    opened.source.insert_many(
        {
            "userId": user,
            "updatedAt": now,
            "date": datetime(2025, 1, 1, tzinfo=london) + timedelta(days=number),
        }
        for number in range(365)
    )
    result = documents.local_days(opened)
    assert result.status == "warning"
    assert "Europe/London" in result.detail
    assert "ANALYTICS_TIMEZONE=Europe/London" in result.remedy
    chosen = opened.settings.model_copy(update={"analytics_timezone": "Europe/London"})
    assert documents.local_days(checks.Database(chosen, opened.client)).status == "ok"


def test_a_clock_that_is_off_is_a_warning(opened: checks.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the direction, so that one knows which of the two to mend."""
    behind = datetime.now(timezone.utc) - timedelta(seconds=30)
    monkeypatch.setattr(checks.Database, "now", lambda _self: behind)
    result = checks.clock_skew(opened)
    assert result.status == "warning"
    assert "s ahead of the server" in result.detail
