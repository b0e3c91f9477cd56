"""`python process_batch.py`: cursor, --since, --full, and no Hadoop shell call."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bson import ObjectId

from tests.support.fake_backend import TOKEN, FakeBackend
from tests.support.job import HealthJob
from tests.support.waiting import wait_for

_YEARS_AGO = datetime(2021, 1, 1, tzinfo=timezone.utc)
SHIMS = ("chmod", "stat", "ls", "readlink", "winutils")


def _of_java(line: str) -> bool:
    return line.startswith(("WARNING: Using incubator modules", "Picked up JAVA_TOOL_OPTIONS"))


def _run(job: HealthJob, *arguments: str, **environment: str) -> int:
    return job.run(*arguments, script="process_batch.py", **environment)


def _cursor(job: HealthJob) -> str:
    return (job.folder / "spark-checkpoints" / "last_processed_timestamp.txt").read_text()


def _with_events(backend: FakeBackend) -> dict[str, str]:
    return {"BACKEND_API_URL": backend.address, "SERVICE_TOKEN": TOKEN, "NOTICES_PER_SECOND": "1000"}


def test_each_kind_of_run_equals_the_reference(
    job: HealthJob, backend: FakeBackend, edit: Any, tmp_path: Path
) -> None:
    """The first, a second, `--since` and `--full`, one after the other, as cron and people start them.

    Cron runs are a slow stream, and each ends only when the backend was told of everybody.
    """
    shims = _shims(tmp_path)
    assert _run(job, **_with_events(backend), PATH=f"{shims}{os.pathsep}{os.environ['PATH']}") == 0, (
        job.output()
    )
    # On Windows such a call would need winutils.
    assert not (shims / "calls").exists(), (shims / "calls").read_text()
    job.assert_equals_reference()
    users = {str(user) for user in job.database["analytics"].distinct("userId")}
    assert {event["userId"] for event in backend.events} == users
    assert backend.violations == []
    assert "BATCH PROCESSING COMPLETED" in job.output()
    _run_again_with_json(job)
    _run_since(job, edit)
    _run_full(job, backend)


def _shims(folder: Path) -> Path:
    """A folder with the programs that Hadoop calls: each notes that it was called, and fails."""
    shims = folder / "shims"
    shims.mkdir()
    for name in SHIMS:
        shim = shims / name
        shim.write_text(f'#!/bin/sh\necho "$0 $*" >> "{shims / "calls"}"\nexit 1\n')
        shim.chmod(0o755)
    return shims


def _run_again_with_json(job: HealthJob) -> None:
    """Every line is one JSON object, for containers."""
    before = job.output()
    assert _run(job, "--json") == 0
    job.assert_equals_reference()
    # What Java says of its own modules goes to standard error, which is in the same file here.
    lines = [line for line in job.output().removeprefix(before).splitlines() if not _of_java(line)]
    assert "BATCH PROCESSING COMPLETED" in json.loads(lines[-1])["event"]
    assert all(json.loads(line)["level"] for line in lines)


def _run_since(job: HealthJob, edit: Any) -> None:
    """`--since` is a repair, not a move of the stream."""
    before = _cursor(job)
    edit()
    assert _run(job, "--since", "2020-01-01") == 0
    assert _cursor(job) == before
    job.assert_equals_reference()


def _run_full(job: HealthJob, backend: FakeBackend) -> None:
    """Deleted days, deleted users and analytics with a user of the wrong type are healed, without events."""
    users = sorted(job.database["healthmetrics"].distinct("userId", {"userId": {"$type": "objectId"}}))
    gone, shortened = users[0], users[1]
    job.database["healthmetrics"].delete_many({"userId": gone})
    newest = job.database["healthmetrics"].find_one({"userId": shortened}, sort=[("date", -1)])
    assert newest
    job.database["healthmetrics"].delete_one({"_id": newest["_id"]})
    job.database["analytics"].insert_one(
        {"userId": str(ObjectId()), "metricType": "steps", "timeRange": "7day"}
    )
    told = len(backend.requests)
    assert _run(job, "--full", **_with_events(backend)) == 0, job.output()
    job.assert_equals_reference()
    assert len(backend.requests) == told


def test_a_killed_full_pass_goes_on_where_it_was(job: HealthJob) -> None:
    """It tells its progress, keeps to its rate, survives kill -9, and removes who is gone at its end.

    Stopped, it says how far it came, and not that it is complete.
    """
    gone = {"userId": ObjectId(), "metricType": "steps", "timeRange": "7day"}
    job.database["analytics"].insert_one({**gone, "calculatedAt": datetime(2020, 1, 1, tzinfo=timezone.utc)})
    first = job.start("--full", script="process_batch.py", FULL_USERS_PER_SECOND="2")
    notes = job.folder / "spark-checkpoints" / "full_pass.json"
    wait_for(notes.exists, "the first piece", first)
    first.kill()
    first.wait()
    done = len(job.database["analytics"].distinct("userId", {"calculatedAt": {"$gt": _YEARS_AGO}}))
    assert 0 < done < len(job.database["healthmetrics"].distinct("userId"))
    before = notes.read_text()
    second = job.start("--full", script="process_batch.py", FULL_USERS_PER_SECOND="2")
    wait_for(lambda: notes.read_text() != before, "the next piece", second)
    assert job.stop(second) == 3, job.output()
    assert "the next --full goes on there" in job.output()
    assert "COMPLETED" not in job.output()
    assert _run(job, "--full") == 0, job.output()
    assert "Going on with the full pass" in job.output()
    assert "users (100 %)" in job.output()
    assert not notes.exists()
    job.assert_equals_reference()
