"""What a server may say to the batch: it tries again, gives the batch up, or stops, and loses nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from pyspark.sql import SparkSession

from contracts import AccessDeniedError
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import HealthPipeline
from pipelines.health.recompute.brake import COMPUTATION_FAILED
from sinks.dead_letters import DeadLetters
from sources.mongo_client import connect
from tests.integration.test_any_cutting import pipeline
from tests.support.compare import assert_same_analytics
from tests.support.mongo_answers import Answers, answering
from tests.support.reference import reference_analytics
from tests.support.strategies import new_id, random_documents
from tests.support.toxiproxy import host_of

NOT_PRIMARY = (10107, "not primary")
# The other codes that pass by themselves are in tests/unit/sinks/test_mongo_errors.py.
TRANSIENT = [
    NOT_PRIMARY,
    (91, "the server is shutting down"),
    (14031, "available disk space is less than required minimum"),
]
FAST: dict[str, Any] = {
    "retry_attempts": 4,
    "max_batch_failures": 1,
    "retry_base_seconds": 0.01,
    "retry_max_seconds": 0.05,
}


@pytest.fixture
def answers(mongo_uri: str) -> Iterator[Answers]:
    """A door whose answers the test decides."""
    with answering(host_of(mongo_uri)) as door:
        yield door


@pytest.fixture
def job(
    request: pytest.FixtureRequest,
    spark: SparkSession,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    mongo_uri: str,
    answers: Answers,
) -> Iterator[HealthPipeline]:
    """A pipeline behind that door, with two users' days to compute; the parameter is the time-out."""
    rng, now = random.Random(8), datetime.now(timezone.utc).replace(microsecond=0)
    documents = random_documents(rng, [new_id(rng), new_id(rng)], 8, now.date())
    for document in documents:
        document["updatedAt"] = now - timedelta(seconds=90)
    database["healthmetrics"].insert_many(documents)
    client: MongoClient[dict[str, Any]] = connect(
        mongo_uri.replace(host_of(mongo_uri), answers.address), getattr(request, "param", 10_000)
    )
    yield pipeline(spark, client[database.name], tmp_path, **FAST)
    client.close()


def _assert_equals_reference(database: Database[dict[str, Any]]) -> None:
    documents = list(database["healthmetrics"].find())
    expected = reference_analytics(documents, "UTC", datetime.now(timezone.utc).date())
    assert expected
    assert_same_analytics(list(database["analytics"].find()), expected)


def _all_ways(database: Database[dict[str, Any]], job: HealthPipeline) -> None:
    """Results are there; of the next batch's one is new, one changed, others the same, and one must go."""
    assert job.batch.drain(StopFlag()) is not None
    analytics = database["analytics"]
    changed = analytics.find_one_and_update({}, {"$unset": {"metadata.contentHash": 1}})
    assert changed
    assert analytics.delete_one({"_id": {"$ne": changed["_id"]}}).deleted_count
    del changed["_id"]
    analytics.insert_one({**changed, "metricType": "gone"})
    changes = {"updatedAt": datetime.now(timezone.utc) - timedelta(seconds=1)}
    database["healthmetrics"].update_many({"updatedAt": {"$type": "date"}}, {"$set": changes})


@pytest.mark.parametrize(("code", "message"), TRANSIENT)
def test_what_passes_by_itself_is_met_inside_the_batch(
    database: Database[dict[str, Any]], job: HealthPipeline, answers: Answers, code: int, message: str
) -> None:
    """Said once to each kind of command: the batch tries again and succeeds, nothing is set aside."""
    # Each error may cost a try, of which a batch has four.
    for commands in (("find", "insert"), ("update", "delete")):
        _all_ways(database, job)
        for command in commands:
            answers.refuse(command, code, message)
        assert job.batch.drain(StopFlag()) is not None
        assert all(answers.take(command) is None for command in commands), "an error was never met"
        assert job.reporting.history.recent()[-1]["status"] == "completed_with_errors"
        _assert_equals_reference(database)


# The driver waits so long at each of the tries.
@pytest.mark.parametrize("job", [2_000], indirect=True)
def test_a_server_that_stays_away_fails_the_batch_and_the_next_one_succeeds(
    database: Database[dict[str, Any]], job: HealthPipeline, answers: Answers, tmp_path: Path
) -> None:
    """After RETRY_ATTEMPTS tries the batch is given up; the cursor stays, and nobody is suspected for it."""
    for command in ("find", "find", "insert"):
        answers.heal()
        answers.refuse(command, *NOT_PRIMARY, times=1_000)
        assert job.batch.drain(StopFlag()) is None
    assert job.reporting.history.recent()[-1]["errors"][0].startswith("No answer after 4 tries")
    assert not (tmp_path / "checkpoints" / "last_processed_timestamp.txt").exists()
    answers.heal()
    assert job.batch.drain(StopFlag()) is not None
    assert COMPUTATION_FAILED not in {letter.reason for letter in DeadLetters(tmp_path / "dlq").list()}
    _assert_equals_reference(database)


@pytest.mark.parametrize(
    ("command", "code", "named"),
    [
        ("find", 18, "MONGO_URI"),
        ("insert", 13, "ANALYTICS_COLLECTION"),
        ("update", 13, "ANALYTICS_COLLECTION"),
    ],
)
def test_a_refusal_ends_the_run_at_the_first_answer(
    database: Database[dict[str, Any]],
    job: HealthPipeline,
    answers: Answers,
    command: str,
    code: int,
    named: str,
) -> None:
    """Lost rights or a changed password: no second try, one sentence with the remedy, nothing quoted."""
    if command == "update":
        _all_ways(database, job)
    answers.refuse(command, code, "not authorized on hunter2 to execute", times=1_000)
    before = answers.seen[command]
    with pytest.raises(AccessDeniedError, match=named) as caught:
        job.batch.drain(StopFlag())
    assert "hunter2" not in str(caught.value)
    # Two threads write at the same time.
    assert answers.seen[command] - before <= 2
    assert job.reporting.history.recent()[-1]["status"] == "failed"
