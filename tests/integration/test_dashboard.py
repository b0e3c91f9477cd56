"""What the dashboard asks of a real server: little, by index, with read rights, and never for long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.monitoring import CommandListener, CommandStartedEvent

from dashboard.data import database as connection
from dashboard.data import recent
from dashboard.data.database import AnalyticsCollection
from dashboard.data.health_data import HealthData
from dashboard.data.recent import read_recent
from dashboard.data.user import read_user
from dashboard.data.waiting import read_evidence, read_waiting
from dashboard.health.opening import open_data
from settings import load
from simulation.health.population import PATTERN_USER_ID, worked_example
from sinks.health.indexes import ensure_indexes
from sources.mongo_client import connect, for_reading
from tests.support.analytics_documents import analytics_documents
from tests.support.mongo_doors import SecureDoor, run_script
from tests.support.toxiproxy import Proxy, through
from tests.support.waiting import wait_for

_USERS = 3
_READS = ("find", "aggregate", "count")


class _Commands(CommandListener):
    """Keeps the commands that were sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        """A command goes out."""
        if event.command_name not in ("hello", "ping", "endSessions"):
            self.sent.append(dict(event.command))

    def succeeded(self, event: Any) -> None:
        """Not looked at."""

    def failed(self, event: Any) -> None:
        """Not looked at."""


@pytest.fixture
def documents(database: Database[dict[str, Any]]) -> list[dict[str, Any]]:
    """Analytics with the two indexes that a standalone installation has."""
    stored = analytics_documents(_USERS, datetime.now(timezone.utc))
    ensure_indexes(database["analytics"])
    database["analytics"].insert_many([dict(document) for document in stored])
    return stored


@pytest.fixture
def watched(
    mongo_uri: str, database: Database[dict[str, Any]], documents: list[dict[str, Any]]
) -> Iterator[tuple[AnalyticsCollection, _Commands]]:
    """The collection as the dashboard reads it, and what it sends."""
    commands = _Commands()
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_uri, tz_aware=True, event_listeners=[commands])
    yield for_reading(client[database.name]["analytics"]), commands
    client.close()


def _data(uri: str, database: str, folder: Any) -> HealthData:
    settings = load(
        env_file=None,
        mongo_uri="mongodb://nowhere",
        dashboard_mongo_uri=uri,
        mongo_db_name=database,
        log_directory=folder,
        metrics_directory=folder,
    )
    return open_data(settings)


def test_what_is_read_is_what_is_stored(
    watched: tuple[AnalyticsCollection, _Commands], documents: list[dict[str, Any]]
) -> None:
    """Everybody, the anomalies, and the worked example's figures."""
    collection, _ = watched
    found = read_recent(collection)
    assert found.users() == [str(user) for user in dict.fromkeys(d["userId"] for d in documents)]
    longest = [d for d in documents if d["timeRange"] == "90day"]
    assert len(found.rows) == len(longest)
    assert len(found.anomalies) == sum(d["analytics"]["anomalyDetected"] for d in longest)
    assert found.newest == max(d["calculatedAt"] for d in documents)
    assert read_user(collection, str(PATTERN_USER_ID))["steps", "7day"].streak_days == 7


def test_reads_are_few_and_bounded_and_name_their_index(
    watched: tuple[AnalyticsCollection, _Commands],
) -> None:
    """Six commands for everybody, one for a user; a limit in each, and in each but the estimate a hint."""
    collection, commands = watched
    read_recent(collection)
    assert [next(iter(command)) for command in commands.sent] == ["count"] + ["aggregate"] * 5
    read_user(collection, str(PATTERN_USER_ID))
    assert len(commands.sent) == 7
    for command in commands.sent[1:]:
        assert command["hint"], command
        assert _limit(command) <= recent.LOOK_AT, command
    assert commands.sent[0].get("query", {}) == {}, "an estimate counts nothing"


def test_the_server_answers_by_index(watched: tuple[AnalyticsCollection, _Commands]) -> None:
    """Its own plans: the TTL index for everybody, the unique one for a user, and no scan."""
    collection, commands = watched
    read_recent(collection)
    read_user(collection, str(PATTERN_USER_ID))
    for command in commands.sent[1:]:
        asked = {name: value for name, value in command.items() if name in _PLANNED}
        plan = str(collection.database.command("explain", asked, verbosity="queryPlanner"))
        index = "analytics_unique_key" if "find" in command else "analytics_ttl"
        assert index in plan, plan
        assert "COLLSCAN" not in plan
        assert "Seq Scan" not in plan


def test_the_source_is_read_by_its_indexes_or_not_at_all(
    watched: tuple[AnalyticsCollection, _Commands], documents: list[dict[str, Any]]
) -> None:
    """Who waits and what a result comes of: a limit or one user, and without an index no question."""
    collection, commands = watched
    source = for_reading(collection.database["healthmetrics"])
    source.insert_many(worked_example(PATTERN_USER_ID, datetime.now(timezone.utc).date()))
    asked = PATTERN_USER_ID, "steps", "7day"
    assert read_waiting(source, collection) is None
    assert read_evidence(source, collection, *asked) is None
    assert not [command for command in commands.sent if set(command) & set(_READS)]
    source.create_index([("updatedAt", 1), ("_id", 1)])
    source.create_index([("userId", 1), ("date", 1)])
    waiting, evidence = read_waiting(source, collection), read_evidence(source, collection, *asked)
    assert waiting is not None
    assert (waiting.users, waiting.late, waiting.complete) == (1, 0, True)
    assert evidence is not None
    assert len(evidence.documents) == 14
    assert evidence.stored is not None
    reads = [command for command in commands.sent if set(command) & set(_READS)]
    # A user who seems late is looked at once more.
    assert len(reads) in (4, 5)
    for command in reads:
        condition = command.get("filter") or command["pipeline"][0]["$match"]
        assert {"updatedAt", "userId", "_id"} & set(condition), "an index begins with it"
        assert "limit" in command or "userId" in condition


_PLANNED = (*_READS, "filter", "pipeline", "sort", "limit", "hint", "cursor", "query")


def _limit(command: dict[str, Any]) -> int:
    stages: list[dict[str, Any]] = command.get("pipeline", [])
    limits = [stage["$limit"] for stage in stages if "$limit" in stage]
    found: int = limits[0] if limits else command["limit"]
    return found


def test_only_the_newest_documents_are_read(
    watched: tuple[AnalyticsCollection, _Commands],
    documents: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Below the limit the oldest are left out, and the users are estimated from the documents."""
    monkeypatch.setattr(recent, "LOOK_AT", 48)
    found = read_recent(watched[0])
    assert not found.is_whole
    assert len(found.users()) == 2
    assert found.user_count() == round(len(documents) / 24)


def test_a_user_who_may_only_read_suffices(
    documents: list[dict[str, Any]],
    database: Database[dict[str, Any]],
    secure_door: SecureDoor,
    tmp_path: Any,
) -> None:
    """Without any right one sentence with the remedy, with `read` on the collection everything."""
    uri = run_script("limited")
    refused = _data(uri, database.name, tmp_path).recent()
    assert refused.value is None
    assert refused.fault is not None
    assert "role read" in refused.fault
    run_script("grant", database.name, "analytics", "read")
    with pytest.raises(OperationFailure):
        connect(uri)[database.name]["analytics"].insert_one({"_id": 1})
    data = _data(uri, database.name, tmp_path)
    assert data.recent().value is not None
    assert data.user(str(PATTERN_USER_ID)).value


def test_a_wrong_password_is_told_as_such(
    database: Database[dict[str, Any]], secure_door: SecureDoor, tmp_path: Any
) -> None:
    """With the settings that may hold it; the password tried is nowhere."""
    fault = _data(secure_door.uri("nobody", "hunter2"), database.name, tmp_path).recent().fault
    assert fault is not None
    assert "user name or password" in fault
    assert "hunter2" not in fault


def test_a_missing_index_is_told_not_scanned_around(
    documents: list[dict[str, Any]], database: Database[dict[str, Any]], mongo_uri: str, tmp_path: Any
) -> None:
    """Rather no page than a scan of millions for each view."""
    database["analytics"].drop_index("analytics_ttl")
    fault = _data(mongo_uri, database.name, tmp_path).recent().fault
    assert fault is not None
    assert "lacks an index" in fault


def test_a_database_without_the_collection_is_empty(
    database: Database[dict[str, Any]], mongo_uri: str, tmp_path: Any
) -> None:
    """Before the service ran for the first time there is nothing, and that is no fault."""
    loaded = _data(mongo_uri, database.name, tmp_path).recent()
    assert loaded.fault is None
    assert loaded.value is not None
    assert loaded.value.documents == 0


@pytest.mark.parametrize("fault", ["cut", "black_hole"])
def test_a_lost_network_costs_seconds_and_heals(
    fault: str,
    documents: list[dict[str, Any]],
    database: Database[dict[str, Any]],
    mongo_uri: str,
    mongo_proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    """The last state with its age meanwhile, also on a connection that hangs; afterwards the new one."""
    monkeypatch.setattr(connection, "_READ_SECONDS", 1.0)
    monkeypatch.setattr(connection, "_CONNECT_MILLISECONDS", 500)
    monkeypatch.setattr("dashboard.data.remembered._RETRY_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("dashboard.data.health_data.RECENT_SECONDS", 0.0)
    data = _data(through(mongo_proxy, mongo_uri), database.name, tmp_path)
    before = _until_answered(data)
    getattr(mongo_proxy, fault)()
    started = time.monotonic()
    kept = data.recent()
    assert time.monotonic() - started < 30
    assert kept.value is before.value
    assert kept.as_of == before.as_of
    assert kept.fault is not None
    assert "does not answer" in kept.fault
    mongo_proxy.heal()
    assert _until_answered(data).value is not before.value


def _until_answered(data: HealthData) -> Any:
    """One second is short for a busy machine."""
    loaded = [data.recent()]

    def is_answered() -> bool:
        loaded[0] = data.recent()
        return loaded[0].fault is None

    wait_for(is_answered, lambda: loaded[0].fault)
    return loaded[0]
