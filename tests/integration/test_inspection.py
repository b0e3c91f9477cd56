"""What `inspect` and `checkpoint --dry-run` say, on the real server: right figures at a bounded cost."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database
from typer.testing import CliRunner

from contracts import ends
from main import app
from simulation.health.population import worked_example
from sinks.health.indexes import ensure_indexes
from sources.health.inspection import count_changes, field_range, find_stale, newest
from sources.health.poll import MongoPoll
from tests.support.command_line import run_command

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
_FAR = datetime(2999, 1, 1, tzinfo=timezone.utc)


def _change(user: Any, minutes_ago: float, **fields: Any) -> dict[str, Any]:
    return {"userId": user, "updatedAt": NOW - minutes_ago * MINUTE, **fields}


def _result(user: Any, calculated: Any) -> dict[str, Any]:
    return {"userId": user, "timeRange": "7day", "metricType": "steps", "calculatedAt": calculated}


def test_changes_are_counted_between_two_moments(database: Database[dict[str, Any]]) -> None:
    """Later than the one, up to the other; documents and users apart, whatever type an id has."""
    source = database["s"]
    first, second = ObjectId(), ObjectId()
    source.insert_many([_change(first, 10), _change(first, 5), _change(second, 5), _change("text", 4)])
    source.insert_many([_change(second, 20), _change(second, -1), {"userId": first}])
    changes = count_changes(source, NOW - 10 * MINUTE, NOW)
    assert (changes.documents, changes.users, changes.complete) == (3, 2, True)
    assert changes.oldest == NOW - 5 * MINUTE


def test_a_count_has_a_limit_and_says_so(database: Database[dict[str, Any]]) -> None:
    """A backlog of millions must not be read for a dry run."""
    source = database["s"]
    source.insert_many([_change(ObjectId(), minutes) for minutes in range(10)])
    changes = count_changes(source, NOW - 60 * MINUTE, NOW, limit=6, look_at=4)
    assert (changes.documents, changes.users, changes.complete) == (6, 4, False)
    assert not count_changes(source, NOW - 60 * MINUTE, NOW, limit=100, look_at=4).complete


def test_stale_users_are_those_with_a_newer_change(database: Database[dict[str, Any]]) -> None:
    """Judged by their newest change and the cursor; wrong types count as nothing; no result is told apart."""
    source, target = database["s"], database["t"]
    fresh, stale, older, without, broken, new, waits = (ObjectId() for _ in range(7))
    source.insert_many(
        [_change(fresh, 9), _change(fresh, 8), _change(stale, 30), _change(stale, 3), _change(older, 7)]
    )
    source.insert_many([_change(without, 2), _change(broken, 1), _change("text", 0.9), _change(fresh, -60)])
    target.insert_many([_result(fresh, NOW - 8 * MINUTE), _result(stale, NOW - 4 * MINUTE)])
    target.insert_many([_result(older, NOW - 9 * MINUTE), _result(broken, "2026-11-24")])
    source.insert_many([_change(new, 0.4), _change(waits, 0.2), _change(waits, 20)])
    target.insert_one(_result(waits, NOW - 19 * MINUTE))
    found = find_stale(source, target, NOW, NOW - 0.5 * MINUTE)
    assert (found.users, found.waiting, found.stale, found.without) == (7, 2, 2, 2)
    assert found.complete
    assert set(found.examples) == {stale, older}
    assert (found.stale_since, found.waiting_since) == (NOW - 7 * MINUTE, NOW - 0.4 * MINUTE)
    few = find_stale(source, target, NOW, NOW, limit=3)
    assert (few.users, few.complete) == (2, False)
    # A backlog: all that is not computed waits, and none of it is a fault.
    backlog = find_stale(source, target, NOW, NOW - 60 * MINUTE)
    assert (backlog.waiting, backlog.stale, backlog.without) == (6, 0, 0)


def test_ranges_are_read_by_index_or_not_at_all(database: Database[dict[str, Any]]) -> None:
    """Sorting a large collection without one would load the server."""
    source = database["s"]
    source.insert_many([*(_change(ObjectId(), minutes) for minutes in (5, 3, 8)), {"updatedAt": "text"}])
    unindexed = field_range(source, "updatedAt")
    assert (unindexed.documents, unindexed.earliest, unindexed.indexed) == (4, None, False)
    MongoPoll(source, 0, 1).ensure_index()
    found = field_range(source, "updatedAt")
    assert (found.earliest, found.latest) == (NOW - 8 * MINUTE, NOW - 3 * MINUTE)
    assert [each["updatedAt"] for each in newest(source, "updatedAt", 2)] == [
        NOW - 3 * MINUTE,
        NOW - 5 * MINUTE,
    ]


@pytest.fixture
def command(
    mongo_uri: str, database: Database[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Runs a command of `main.py` on the fresh database; gives its exit code and standard output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URI", mongo_uri)
    monkeypatch.setenv("MONGO_DB_NAME", database.name)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.stdout

    return run


def test_a_user_is_shown_day_by_day(command: Any, database: Database[dict[str, Any]]) -> None:
    """The worked example: fourteen values, the gap of day 8, the spike; before anything was computed."""
    user = ObjectId()
    database["healthmetrics"].insert_many(worked_example(user, datetime.now(timezone.utc).date()))
    code, text = command("inspect", "--user", str(user))
    assert code == 0
    assert "▁▁▂▂▂▃▃ ▂▂▂▂█▂▂" in text
    assert "Calculated never (waiting" in text
    view = json.loads(command("inspect", "--user", str(user), "--json")[1])
    steps = [day["steps"] for day in view["days"]]
    assert len(steps) == 30
    assert [value for value in steps if value is not None][-3:] == [18000, 8200, 8200]
    assert (view["standing"], view["stale"]) == ("waiting", False)
    command("checkpoint", "set", "2999-01-01", "--yes")
    assert json.loads(command("inspect", "--user", str(user), "--json")[1])["standing"] == "without"


def test_what_does_not_count_of_a_user_is_told_with_its_reason(
    command: Any, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two phones on one day, a new source, a watch, a text: all are told; PHONE_SOURCES is heeded."""
    user, day = ObjectId(), datetime.now(timezone.utc) - timedelta(days=1)
    usual = {"userId": user, "date": day, "source": "manual", "metrics": {"steps": 9000}, "updatedAt": day}
    changes: list[dict[str, Any]] = [
        {},
        {"metrics": {"steps": 1200}, "updatedAt": day + timedelta(hours=1)},
        {"date": day - timedelta(days=1), "source": "healthconnect"},
        {"source": "new\nphone" * 99},
        {"heartRate": 60},
        {"metrics": "none"},
    ]
    database["healthmetrics"].insert_many([{**usual, **change} for change in changes])
    view = json.loads(command("inspect", "--user", str(user), "--json")[1])
    assert view["documents_by_end"] == ends(written=1, superseded=1, refused=1, left_out=3)
    assert view["days"][-1]["steps"] == 1200
    odd = next(reason for reason in view["reasons"] if reason.startswith("source:new\\nphone"))
    assert len(odd) <= 50
    assert view["reasons"] == {odd: 1, "source:healthconnect": 1, "wearable": 1, "metrics_not_a_document": 1}
    text = command("inspect", "--user", str(user))[1]
    assert "1 superseded by a later one of their day" in text
    assert "1 × source:healthconnect" in text
    monkeypatch.setenv("PHONE_SOURCES", "manual, healthconnect")
    counts = json.loads(command("inspect", "--user", str(user), "--json")[1])["documents_by_end"]
    assert counts == ends(written=2, superseded=1, refused=1, left_out=2)


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ("665000000000000000000009", "has neither health documents nor results in this database."),
        ("me", "'me' is no user id (24 hexadecimal digits) and no e-mail."),
        ("nobody@example.org", "No user with this e-mail is in "),
        ("twice@example.org", "More than one user with this e-mail is in "),
        ("odd@example.org", "'7' is no user id"),
    ],
)
def test_an_unknown_user_is_one_line(
    command: Any, database: Database[dict[str, Any]], user: str, says: str
) -> None:
    """A typing mistake must not look like a user without data."""
    assert command("inspect")[0] == 0
    database["users"].insert_many([{"email": "twice@example.org"}, {"email": "twice@example.org"}])
    database["users"].insert_one({"_id": 7, "email": "odd@example.org"})
    ended = run_command("inspect", "--user", user)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert says in ended.err


@pytest.mark.parametrize("typed", ["jo@example.org", "Jo@Example.org"])
def test_a_user_is_found_by_the_e_mail_that_the_backend_has(
    command: Any, database: Database[dict[str, Any]], typed: str
) -> None:
    """As it was stored, or in lower case."""
    user = ObjectId()
    database["users"].insert_one({"_id": user, "email": "jo@example.org"})
    database["healthmetrics"].insert_many(worked_example(user, datetime.now(timezone.utc).date()))
    view = json.loads(command("inspect", "--user", typed, "--json")[1])
    assert (view["user"], view["documents"]) == (str(user), 14)


def test_the_overview_is_whole_on_an_empty_and_on_a_filled_database(
    command: Any, database: Database[dict[str, Any]]
) -> None:
    """Counts, dates, users left behind and newest documents, as a table and as JSON."""
    code, text = command("inspect")
    assert code == 0
    assert "no index on updatedAt" in text
    MongoPoll(database["healthmetrics"], 0, 1).ensure_index()
    ensure_indexes(database["analytics"])
    user = ObjectId()
    database["healthmetrics"].insert_many(worked_example(user, date(2026, 11, 24)))
    database["analytics"].insert_one({**_result(user, NOW - 999_999 * MINUTE), "expiresAt": _FAR})
    code, text = command("inspect")
    assert "Waiting, the cursor is not there yet: 1, since" in text
    assert json.loads(command("inspect", "--json")[1])["staleness"]["waiting"] == 1
    command("checkpoint", "set", "2999-01-01", "--yes")
    facts = json.loads(command("inspect", "--json")[1])
    assert (facts["staleness"]["waiting"], facts["staleness"]["stale"]) == (0, 1)
    assert [each["documents"] for each in facts["collections"]] == [14, 1]
    assert len(facts["newest_documents"]) == 5
    assert facts["newest_results"][0]["userId"] == str(user)


def test_a_dry_run_tells_what_moving_the_cursor_would_do(
    command: Any, database: Database[dict[str, Any]]
) -> None:
    """Back: how much is processed again. Forward: how much would be skipped. The cursor stays in both."""
    now = datetime.now(timezone.utc)
    database["healthmetrics"].insert_many(
        [{"userId": ObjectId(), "updatedAt": now - timedelta(hours=hours)} for hours in range(1, 11)]
    )
    # Whatever lies there is counted as a document.
    odd = [{"userId": [1], "updatedAt": now - timedelta(hours=4)}, {"userId": {"oid": 1}, "updatedAt": now}]
    database["healthmetrics"].insert_many(odd)
    command("checkpoint", "set", (now - timedelta(hours=4.5)).isoformat(), "--yes")
    before = command("checkpoint", "show")
    code, text = command("checkpoint", "set", (now - timedelta(hours=8.5)).isoformat(), "--dry-run")
    assert code == 0
    assert "4 documents of 4 users changed between the two would be processed again" in text
    assert (
        "6 documents of 4 users changed between the two would be SKIPPED"
        in command("checkpoint", "set", "2999-01-01", "--dry-run")[1]
    )
    assert "6 documents of 6 users" in command("checkpoint", "reset", "--dry-run")[1]
    assert command("checkpoint", "show") == before
    assert json.loads(command("checkpoint", "show", "--json")[1])["origin"] == "file"


def test_the_cursor_is_shown_with_its_age_and_what_waits(
    command: Any, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words and in JSON; changes up to the cursor and of the future do not wait; a server may be away."""
    now, source = datetime.now(timezone.utc), database["healthmetrics"]
    first, second = ObjectId(), ObjectId()
    hours = [(first, 9), (first, 3.2), (second, 2), (second, -1)]
    source.insert_many([{"userId": user, "updatedAt": now - timedelta(hours=each)} for user, each in hours])
    assert (
        "A first run begins there; what waits is not known: updatedAt has no index"
        in command("checkpoint", "show")[1]
    )
    MongoPoll(source, 0, 1).ensure_index()
    command("checkpoint", "set", (now - timedelta(hours=5)).isoformat(), "--yes")
    told = command("checkpoint", "show")[1].splitlines()
    assert told[1] == "5 h old; 2 documents of 2 users changed since, the oldest 3 h 12 min ago."
    facts = json.loads(command("checkpoint", "show", "--json")[1])
    assert (facts["waiting_documents"], facts["waiting_users"], facts["waiting_is_all"]) == (2, 2, True)
    assert 5 * 3600 <= facts["age_seconds"] < 5 * 3600 + 60
    assert 3.2 * 3600 <= facts["lag_seconds"] < 3.2 * 3600 + 60
    command("checkpoint", "set", now.isoformat(), "--yes")
    assert "old; nothing waits." in command("checkpoint", "show")[1]
    assert json.loads(command("checkpoint", "show", "--json")[1])["lag_seconds"] == 0
    monkeypatch.setenv("MONGO_URI", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50")
    code, text = command("checkpoint", "show")
    assert (code, "old; what waits is not known: MongoDB at MONGO_URI does not answer" in text) == (0, True)
    assert json.loads(command("checkpoint", "show", "--json")[1])["lag_seconds"] is None


@pytest.mark.parametrize(
    ("answer", "option", "code"), [("", [], 2), ("n\n", [], 3), ("y\n", [], 0), ("", ["--yes"], 0)]
)
@pytest.mark.parametrize("move", [["set", "2999-01-01"], ["reset"]])
def test_what_skips_changes_is_counted_and_confirmed(
    command: Any,
    database: Database[dict[str, Any]],
    move: list[str],
    answer: str,
    option: list[str],
    code: int,
) -> None:
    """A time in the future is told as such. Without a yes the cursor stays, with nobody to ask as well."""
    now = datetime.now(timezone.utc)
    database["healthmetrics"].insert_one({"userId": ObjectId(), "updatedAt": now - timedelta(days=40)})
    assert command("checkpoint", "set", (now - timedelta(days=50)).isoformat())[0] == 0
    before = command("checkpoint", "show")
    ended = run_command("checkpoint", *move, *option, answer=answer)
    assert ended.code == code, ended
    assert "1 document of 1 user changed between the two is SKIPPED" in ended.out
    assert ("lies in the future" in ended.out) == (move[0] == "set")
    assert (command("checkpoint", "show") == before) == (code != 0)
