"""The service does its whole work with the rights that docs/security.md gives it, and with no others."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from tests.support.database_rights import DOCUMENT, documented_rights, used_rights
from tests.support.job import HealthJob
from tests.support.mongo_doors import run_script
from tests.support.waiting import wait_for

SERVICE, CURSOR = documented_rights("healthAnalytics"), documented_rights("healthAnalyticsCursor")
RECORDED = "tests/acceptance/recorded.py"


def create_documented_indexes(database: Database[dict[str, Any]]) -> None:
    """What the administrator does once."""
    commands = re.findall(r"^db\.(\w+)\.createIndex\((\{.*?\})(?:, (\{.*\}))?\)$", DOCUMENT, re.MULTILINE)
    assert commands, "docs/security.md creates no index"
    for collection, keys, options in commands:
        database[collection].create_index(list(json.loads(keys).items()), **json.loads(options or "{}"))


@pytest.fixture
def limited(small_job: HealthJob, limited_door: str) -> HealthJob:
    """The job behind a door where PostgreSQL grants it the documented rights and refuses the rest."""
    job = small_job
    create_documented_indexes(job.database)
    job.database.create_collection("analytics_checkpoints")
    rights: dict[str, set[str]] = defaultdict(set)
    for collection, action in SERVICE | CURSOR:
        rights[collection].add(action)
    for collection, actions in rights.items():
        run_script("grant", job.database.name, collection, "write" if "update" in actions else "read")
    job.environment["MONGO_URI"] = limited_door
    return job


def _used(job: HealthJob, name: str) -> set[tuple[str, str]]:
    return used_rights(job.folder / name, job.database.name)


def _retried(job: HealthJob) -> bool:
    return any('"attempts": 0' not in letter.read_text() for letter in (job.folder / "dlq").glob("*.json"))


def test_the_documented_rights_are_enough_and_none_is_too_many(limited: HealthJob) -> None:
    """Stream, dead letters and their retry, full pass, checks: what they send is what is granted."""
    stream = {"CURSOR_STORE": "mongo", "DLQ_RETRY_MINUTES": "0.01", "RECORD_TO": "stream.jsonl"}
    process = limited.start("main.py", script=RECORDED, **stream)
    wait_for(lambda: _retried(limited), "a dead letter to be tried again", process)
    assert limited.stop(process) == 0, limited.output()
    for command in (["process_batch.py", "--full"], ["main.py", "check"], ["main.py", "inspect"]):
        assert limited.run(*command, script=RECORDED, RECORD_TO="single.jsonl") == 0, limited.output()
    limited.assert_equals_reference()
    assert _used(limited, "stream.jsonl") | _used(limited, "single.jsonl") == SERVICE | CURSOR
    assert _used(limited, "single.jsonl") <= SERVICE


def test_the_door_does_refuse_what_is_not_documented(limited: HealthJob, limited_door: str) -> None:
    """Or the test above would prove nothing."""
    client: MongoClient[dict[str, Any]] = MongoClient(limited_door)
    source, target = (
        client[limited.database.name]["healthmetrics"],
        client[limited.database.name]["analytics"],
    )
    attempts: list[Callable[[], Any]] = [
        lambda: source.insert_one({}),
        lambda: source.update_one({}, {"$set": {"x": 1}}),
        lambda: source.delete_many({}),
        lambda: source.create_index("x"),
        lambda: target.create_index("x"),
        target.drop,
        lambda: client[limited.database.name]["other"].insert_one({}),
        lambda: client[limited.database.name]["analytics"].rename("other"),
    ]
    for attempt in attempts:
        with pytest.raises(PyMongoError, match=r"permission denied|must be owner"):
            attempt()
    client.close()
