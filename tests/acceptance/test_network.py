"""The whole job behind a network that breaks: it lives, recovers, loses nothing, and ends when asked to."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import pytest
from bson import ObjectId

from tests.support.job import HealthJob
from tests.support.mongo_answers import answering
from tests.support.mongo_doors import SecureDoor
from tests.support.toxiproxy import Proxy, Toxiproxy, host_of, through
from tests.support.waiting import TIMEOUT_SECONDS, wait_for

# A command is given up after two seconds, a batch after two tries.
IMPATIENT = {
    "MONGO_TIMEOUT_SECONDS": "2",
    "RETRY_ATTEMPTS": "2",
    "RETRY_BASE_SECONDS": "0.1",
    "RETRY_MAX_SECONDS": "0.2",
}


@pytest.fixture
def job(small_job: HealthJob) -> HealthJob:
    """What is tried here does not depend on the size."""
    return small_job


def _batches(job: HealthJob) -> list[dict[str, Any]]:
    files = sorted((job.folder / "logs").glob("batch_logs_*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def _failed(job: HealthJob) -> int:
    return sum(batch["status"] == "failed" for batch in _batches(job))


def _add_a_day(job: HealthJob) -> Callable[[], bool]:
    """A day of a new user is added, past the proxy; whether its analytics are there."""
    user, now = ObjectId(), datetime.now(timezone.utc)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    job.database["healthmetrics"].insert_one(
        {"userId": user, "date": day, "metrics": {"steps": 4321}, "source": "manual", "updatedAt": now}
    )
    return lambda: job.database["analytics"].count_documents({"userId": user}) > 0


def _assert_one_at_a_time(batches: list[dict[str, Any]]) -> None:
    """By the job's own clock and the server's, which here are the same machine's."""
    times = sorted((batch["start_time"], batch["end_time"]) for batch in batches)
    assert all(end <= start for (_, end), (start, _) in pairwise(times))


def test_the_job_outlives_every_fault_and_ends_in_a_black_hole(
    job: HealthJob, mongo_uri: str, mongo_proxy: Proxy
) -> None:
    """Slow, cut, reset, black-holed: batches fail one after the other, then the work goes on.

    The last fault is not healed: SIGTERM must end the process within the time of a few commands.
    """
    process = job.start(MONGO_URI=through(mongo_proxy, mongo_uri), **IMPATIENT)
    wait_for(_add_a_day(job), "the first analytics", process)
    mongo_proxy.latency(150)
    wait_for(_add_a_day(job), "a slow server's analytics", process)
    mongo_proxy.heal()
    for fault in (Proxy.cut, Proxy.reset_peer, Proxy.black_hole):
        before = _failed(job)
        fault(mongo_proxy)
        computed = _add_a_day(job)
        wait_for(lambda: _failed(job) > before, "a failed batch", process)  # noqa: B023 - called here
        assert not computed()
        mongo_proxy.heal()
        wait_for(computed, "the work to go on", process)
    _assert_one_at_a_time(_batches(job))
    job.assert_equals_reference()
    mongo_proxy.black_hole()
    before = _failed(job)
    wait_for(lambda: _failed(job) > before, "the black hole", process)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_SECONDS) == 0, job.output()
    # At most the command under way, one more that notices, and Spark's end; not five tries of each.
    assert time.monotonic() - asked < 30
    assert "BATCH PROCESSING SESSION SUMMARY" in job.output()
    assert "Traceback" not in job.output()


@pytest.mark.parametrize("lost", ["while it runs", "before the start"])
def test_a_refused_user_ends_the_job_with_exit_code_2(
    job: HealthJob, secure_door: SecureDoor, toxiproxy: Toxiproxy, lost: str
) -> None:
    """The user is gone when the job connects again: one line, no try after try, no stack trace."""
    with secure_door.user() as name:
        uri = secure_door.uri(name)
        proxy = toxiproxy.proxy(host_of(uri))
        if lost == "while it runs":
            process = job.start(MONGO_URI=through(proxy, uri), **IMPATIENT)
            wait_for(_add_a_day(job), "the first analytics", process)
            proxy.cut()
    if lost == "while it runs":
        proxy.heal()
    else:
        process = job.start(MONGO_URI=through(proxy, uri), **IMPATIENT)
    assert process.wait(TIMEOUT_SECONDS) == 2, job.output()
    proxy.close()
    assert job.output().count("❌ MongoDB") == 1
    assert "MONGO_URI" in job.output()
    assert name not in job.output()
    assert "Traceback" not in job.output()
    refused = [batch for batch in _batches(job) if "refuses" in str(batch["errors"])]
    assert len(refused) <= 1


@pytest.mark.parametrize(("script", "arguments"), [("main.py", ()), ("process_batch.py", ("--full",))])
def test_a_server_that_answers_its_greeting_alone_holds_no_stop_whatever_the_address_says(
    job: HealthJob, mongo_uri: str, script: str, arguments: tuple[str, ...]
) -> None:
    """The driver finds the server well; each `…TimeoutMS` of the address once switched our bounds off."""
    with answering(host_of(mongo_uri)) as door:
        address = (
            f"mongodb://{door.address}/?retryWrites=false&connectTimeoutMS=0&socketTimeoutMS=0&timeoutMS=0"
        )
        process = job.start(
            *arguments, script=script, MONGO_URI=address, **{**IMPATIENT, "RETRY_ATTEMPTS": "99"}
        )
        # The list of users comes from one, changes from the other.
        asked = "find" if script == "main.py" else "aggregate"
        door.hang("aggregate", "find", "ping")
        wait_for(lambda: door.seen[asked], "the first question", process)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        process.wait(TIMEOUT_SECONDS)
    # A few commands of two seconds, the end of Java, and what a loaded machine adds.
    assert time.monotonic() - began < 60
