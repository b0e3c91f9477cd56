"""Two instances on one checkpoint: the second is refused, and a stalled first one can do no harm."""

from __future__ import annotations

import signal
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.support.job import HealthJob
from tests.support.waiting import TIMEOUT_SECONDS, wait_for

ON_MONGO = {"CURSOR_STORE": "mongo", "CURSOR_LEASE_SECONDS": "4"}


@pytest.fixture
def job(small_job: HealthJob) -> HealthJob:
    """What is tried here does not depend on the size."""
    return small_job


def _has_analytics(job: HealthJob) -> bool:
    return job.database["analytics"].count_documents({}) > 0


def _stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _results(job: HealthJob) -> dict[tuple[Any, ...], datetime]:
    """When each result was calculated."""
    names = ("userId", "metricType", "timeRange")
    return {
        tuple(one[name] for name in names): one["calculatedAt"] for one in job.database["analytics"].find()
    }


def _edited_now(job: HealthJob) -> Any:
    """A day is added; the analytics that know it."""
    user = job.database["healthmetrics"].find_one({"userId": {"$type": "objectId"}}, sort=[("_id", 1)])
    assert user
    now = datetime.now(timezone.utc)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    job.database["healthmetrics"].update_one(
        {"userId": user["userId"], "date": day},
        {"$set": {"metrics.steps": 4321, "source": "manual", "updatedAt": now}},
        upsert=True,
    )
    return {"userId": user["userId"], "metricType": "steps", "calculatedAt": {"$gt": now}}


def test_a_second_instance_on_the_same_document_is_refused_with_one_line(job: HealthJob) -> None:
    """Stream and one-shot batch alike, before Spark is started; the first one goes on undisturbed."""
    first = job.start(**ON_MONGO)
    wait_for(lambda: _has_analytics(job), "the first analytics", first)
    for script in ("main.py", "process_batch.py"):
        other = job.beside()
        assert other.run("--once" if script == "main.py" else "--full", script=script, **ON_MONGO) == 2
        assert "❌ Another" in other.output()
        assert "Traceback" not in other.output()
        assert "Spark Session Initialized" not in other.output()
    computed = _edited_now(job)
    wait_for(lambda: job.database["analytics"].count_documents(computed) > 0, "an edit", first)
    assert job.stop(first) == 0
    job.assert_equals_reference()


def test_a_stalled_instance_is_taken_over_and_ends_when_it_wakes_up(job: HealthJob) -> None:
    """It stood still (SIGSTOP) beyond its lease, between compute and write: what it then writes is too old.

    The other finishes the work; neither the cursor nor any result goes back.
    """
    first = job.start(FAULT="compute:stop:1", **ON_MONGO)
    wait_for(lambda: _stands_still(first.pid), "the end of the first computation", first)
    other = job.beside()
    computed = _edited_now(job)
    second = other.start(**ON_MONGO)
    wait_for(lambda: job.database["analytics"].count_documents(computed) > 0, "the other instance", second)
    state = job.database["analytics_checkpoints"]
    wait_for(lambda: bool(state.find_one({"timestamp": {"$type": "date"}})), "its cursor", second)
    cursor, results = state.find_one(), _results(job)
    assert results
    first.send_signal(signal.SIGCONT)
    assert first.wait(TIMEOUT_SECONDS) == 2
    assert "taken over" in job.output()
    assert "Traceback" not in job.output()
    after = state.find_one()
    assert {key: date for key, date in _results(job).items() if date < results[key]} == {}
    assert cursor
    assert after
    assert after["timestamp"] >= cursor["timestamp"]
    assert after["lease"]["fence"] == 2
    assert other.stop(second) == 0, other.output()
    job.assert_equals_reference()


def test_kill_9_with_the_cursor_in_mongo_loses_nothing(job: HealthJob, edit: Any) -> None:
    """The next instance waits for the dead one's lease, then goes on; cron runs continue from there."""
    edit()
    assert job.run("--once", FAULT="write:kill:1", **ON_MONGO) == -signal.SIGKILL, job.output()
    edit()
    assert job.run(script="process_batch.py", **ON_MONGO) == 0, job.output()
    job.assert_equals_reference()
    assert not (job.folder / "spark-checkpoints" / "last_processed_timestamp.txt").exists()
