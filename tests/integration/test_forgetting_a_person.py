"""After `forget` no file and no collection but the backend's own knows the person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId, json_util
from pymongo.database import Database
from pyspark.sql import SparkSession

from checkpoint.store import ATTEMPTS, FULL, RECONCILIATION
from commands import pulse
from contracts.health import SOURCE_COLLECTION
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import assemble
from pipelines.health.stores import open_cursor, open_database
from settings import Settings, load
from sinks.health.indexes import ensure_indexes
from sinks.health.told_states import told_states
from sources.health.poll import MongoPoll
from tests.support.command_line import Ended, run_command

_FOLDERS = ("log_directory", "metrics_directory", "dlq_directory", "checkpoint_location")
_NAME = 'Zoë "C4NARY.*" O\'Brien\\ 😀'
_DAY = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)


class Clinic:
    """A health pipeline with a database and folders of its own, and the command line that sees both."""

    def __init__(
        self, folder: Path, uri: str, database: Database[dict[str, Any]], cursor: str, spark: SparkSession
    ) -> None:
        self.folder, self.database, self._spark = folder, database, spark
        self.person, self.other = ObjectId(), ObjectId()
        self.given = {name: str(folder / name) for name in _FOLDERS}
        self.given |= {"mongo_uri": uri, "mongo_db_name": database.name, "cursor_store": cursor}
        database["users"].insert_one({"_id": self.person, "email": "c4nary+мир@example.org", "name": _NAME})

    def settings(self) -> Settings:
        """As every process reads them."""
        return load(env_file=None, **self.given, health_port=0)

    def fill(self) -> None:
        """Days of both, some of which are refused: a bad value, no date, a number too large."""
        source = self.database[SOURCE_COLLECTION]
        for user in (self.person, self.other):
            days = [{"date": _DAY - timedelta(days=n), "metrics": {"steps": 9_000 + n}} for n in range(20)]
            days[3]["metrics"] = {"steps": _NAME, "weight": 71.25}
            days[4]["date"] = f"{_NAME} yesterday"
            days[5]["metrics"] = {"steps": 10**9}
            source.insert_many(
                {**day, "userId": user, "source": "manual", "updatedAt": _DAY - timedelta(hours=3)}
                for day in days
            )

    def run(self) -> None:
        """A batch, and the notes that one leaves whose process died."""
        settings = self.settings()
        database, clock = open_database(settings)
        source, target = database[SOURCE_COLLECTION], database["analytics"]
        poll = MongoPoll(source, 60, settings.max_batch_documents)
        ensure_indexes(target)
        store = open_cursor(settings)
        with store.lock():
            assert assemble(settings, self._spark, source, target, clock, store, poll).once(StopFlag())
            me, other = str(self.person), str(self.other)
            store.write_notes({"trying": [me, other], "failures": {me: 2, other: 1}}, ATTEMPTS)
            store.write_notes({"started": "2026-03-01T00:00:00Z", "last_user": me}, FULL)
            store.write_notes({"started": "2026-03-01T00:00:00Z", "last_user": me}, RECONCILIATION)
        told_states(target).write({"_id": self.person, "known": {"steps": _NAME}})
        log = settings.log_directory / "batch_logs_20260301.jsonl"
        error = f"{_NAME}: ObjectId('{me}') failed; {me}"
        log.write_text(json.dumps({"errors": [error], "records_processed": 7}, ensure_ascii=False) + "\n")
        left = next(settings.dlq_directory.iterdir()).with_name(".analytics_dlq_half.json.123.tmp")
        left.write_text(f'{{"user_id": "{me}"')

    def forget(self, *options: str) -> Ended:
        """The command, which asks nobody."""
        return run_command("forget", str(self.person), "--yes", "--json", *options, app=pulse.app)

    def traces(self) -> set[str]:
        """Where the person's id or name is, beside the backend's own collections."""
        found = set()
        for name in set(self.database.list_collection_names()) - {SOURCE_COLLECTION, "users"}:
            for document in self.database[name].find():
                found |= {name} if str(self.person) in json_util.dumps(document) else set()
        for path in self.folder.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            if str(self.person).encode() in content:
                found.add(path.parent.name)
        return found


@pytest.fixture(params=["file", "mongo"])
def clinic(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    mongo_uri: str,
    database: Database[dict[str, Any]],
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> Clinic:
    """Two people, computed, with the cursor in either place."""
    made = Clinic(tmp_path, mongo_uri, database, request.param, spark)
    for name, value in made.given.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.chdir(tmp_path)
    made.fill()
    made.run()
    return made


def _counts(ended: Ended) -> dict[str, int]:
    return {each["what"]: each["count"] for each in json.loads(ended.out)["found"]}


def test_nothing_but_the_backends_own_knows_the_person(clinic: Clinic) -> None:
    """Counted first, then held by the source, then forgotten; the other person keeps everything."""
    places = {"analytics", "analytics_told", "dlq_directory", "log_directory"}
    places |= {"checkpoint_location"} if clinic.given["cursor_store"] == "file" else {"analytics_checkpoints"}
    assert clinic.traces() == places
    before = [*clinic.database["analytics"].find({"userId": clinic.other}).sort("_id")]
    letters = len([*(clinic.folder / "dlq_directory").glob("*.json")])

    asked = clinic.forget("--dry-run")
    assert (asked.code, clinic.traces()) == (0, places)
    held = clinic.forget()
    assert (held.code, held.out, clinic.traces()) == (1, "", places)
    assert "the source still has 20 days (" in held.err
    clinic.database[SOURCE_COLLECTION].delete_many({"userId": clinic.person})

    done = clinic.forget()
    assert (done.code, clinic.traces()) == (0, set()), done
    assert _counts(done) == _counts(asked)
    assert min(_counts(done)[name] for name in ("results", "dead letters", "notes of the checkpoint")) > 0
    assert [*clinic.database["analytics"].find({"userId": clinic.other}).sort("_id")] == before
    assert len([*(clinic.folder / "dlq_directory").glob("*.json")]) == letters / 2
    notes = open_cursor(clinic.settings()).read_notes(ATTEMPTS)
    assert notes == {"trying": [str(clinic.other)], "failures": {str(clinic.other): 1}}
    again = clinic.forget()
    assert (again.code, set(_counts(again).values())) == (0, {0})


def test_the_receipt_names_nobody_and_has_no_value(clinic: Clinic) -> None:
    """Who knows the id can tell that it is about that person, and nobody else can."""
    done = clinic.forget("--keep-source")
    assert done.code == 0, done
    person = json.loads(done.out)["person"]
    assert str(clinic.person) not in done.out
    assert not any(text in done.out for text in (_NAME, "9003", "71.25"))
    assert person == dict(_sealed(str(clinic.person), person["salt"]))
    other = json.loads(clinic.forget("--keep-source").out)["person"]
    assert other["sha256"] != person["sha256"]


def _sealed(identity: str, salt: str) -> Any:
    from pipelines.engine.forgetting import sealed

    return sealed(identity, lambda: salt)


@contextmanager
def _running(clinic: Clinic) -> Iterator[None]:
    with open_cursor(clinic.settings()).lock():
        yield


def test_notes_of_a_running_stream_are_left_and_told(clinic: Clinic) -> None:
    """Everything else goes; the command says what to do, with exit code 1."""
    clinic.database[SOURCE_COLLECTION].delete_many({"userId": clinic.person})
    with _running(clinic):
        done = clinic.forget()
    left = [each for each in json.loads(done.out)["found"] if each["act"] == "left" and each["count"]]
    assert (done.code, [each["what"] for each in left]) == (1, ["notes of the checkpoint"])
    assert "stop it, and repeat the command" in left[0]["note"]
    assert len(clinic.traces()) == 1
    assert (clinic.forget().code, clinic.traces()) == (0, set())
