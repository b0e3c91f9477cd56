"""Stream = batch: however updates are cut into batches, the same analytics are left."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pyspark.sql import SparkSession

from checkpoint.cursor import FileCursor
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import HealthPipeline, assemble
from settings import load
from sinks.health.indexes import ensure_indexes
from sources.health.poll import MongoPoll
from sources.mongo_client import MonotonicClock, ServerClock
from tests.support.compare import assert_same_analytics
from tests.support.compiled import assert_later_batches_need_no_code
from tests.support.reference import reference_analytics
from tests.support.strategies import new_id, random_documents

METRICS_FILE = "spark_analytics_metrics.prom"


def pipeline(
    spark: SparkSession,
    database: Database[dict[str, Any]],
    folder: Path,
    page_size: int = 1_000,
    **overrides: Any,
) -> HealthPipeline:
    """A pipeline as a freshly started process has it: no skip set, the cursor from the file.

    `overrides` are settings; its files lie in `folder` unless they say otherwise.
    """
    options = {"dlq_directory": "dlq", "log_directory": "logs", "metrics_directory": "metrics"}
    options["checkpoint_location"] = "checkpoints"
    folders = {name: folder / value for name, value in options.items()}
    chosen = load(env_file=None, **{**folders, **overrides})
    clock = MonotonicClock(ServerClock(database.client))
    source, target = database["healthmetrics"], database["analytics"]
    poll = MongoPoll(source, 60, page_size)
    poll.ensure_index()
    ensure_indexes(target)
    cursor = FileCursor(chosen.checkpoint_location, 3650)
    return assemble(chosen, spark, source, target, clock, cursor, poll)


def test_a_backlog_recomputes_each_user_once(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """Its pages are cut by time and share users; a recomputation already had what a later page tells."""
    rng, now = random.Random(4), datetime.now(timezone.utc)
    users = [new_id(rng) for _ in range(3)]
    days = [
        now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=back) for back in range(20)
    ]
    documents = [
        {"userId": user, "date": day, "metrics": {"steps": 5000}, "source": "manual", "updatedAt": day}
        for day in days
        for user in users
    ]
    database["healthmetrics"].insert_many(documents)
    job = pipeline(spark, database, tmp_path, page_size=10)
    assert job.batch.drain(StopFlag())
    recomputed = [batch["users"] for batch in job.reporting.history.recent()]
    # The documents of today may lie in the overlap, where a late commit is still possible.
    assert len(recomputed) >= 6
    assert sum(recomputed) <= 2 * len(users)
    stored = list(database["healthmetrics"].find())
    assert_same_analytics(list(database["analytics"].find()), reference_analytics(stored, "UTC", now.date()))


def test_a_batch_needs_no_code_that_the_one_before_had_not(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """Java has compiled it by the second."""
    job = pipeline(spark, database, tmp_path)

    def batch(number: int) -> None:
        now = datetime.now(timezone.utc)
        day = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=5 + number)
        user, metrics = new_id(random.Random(number)), {"steps": 1000 * (5 + number)}
        changed = {"userId": user, "date": day, "metrics": metrics, "source": "manual", "updatedAt": now}
        database["healthmetrics"].insert_one(changed)
        assert job.batch.drain(StopFlag())

    assert_later_batches_need_no_code(spark, batch)


def test_an_idle_poll_does_no_spark_work(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """No job, no batch line, and the metrics still tell that it polled."""
    rng = random.Random(6)
    database["healthmetrics"].insert_many(
        random_documents(rng, [new_id(rng)], 10, datetime.now(timezone.utc).date())
    )
    job = pipeline(spark, database, tmp_path, page_size=1000)
    assert job.once(StopFlag())
    batches, jobs = len(job.reporting.history.recent()), _spark_jobs(spark)
    assert job.once(StopFlag())
    assert (len(job.reporting.history.recent()), _spark_jobs(spark)) == (batches, jobs)
    assert batches == 1
    assert "health_last_poll_timestamp_seconds" in (tmp_path / "metrics" / METRICS_FILE).read_text()


def _spark_jobs(spark: SparkSession) -> int:
    tracker: Any = spark.sparkContext.statusTracker()
    return len(tracker.getJobIdsForGroup(None))


def _apply(database: Database[dict[str, Any]], documents: Sequence[dict[str, Any]]) -> None:
    for document in documents:
        database["healthmetrics"].replace_one({"_id": document["_id"]}, document, upsert=True)


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 10**6), page_size=st.sampled_from([1, 3, 1000]), pieces=st.integers(1, 5))
def test_any_cutting_order_and_repetition_leaves_the_same_analytics(
    spark: SparkSession,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    seed: int,
    page_size: int,
    pieces: int,
) -> None:
    """One at a time, all at once, twice, in another order, with restarts: equal to the reference."""
    rng = random.Random(seed)
    database["healthmetrics"].delete_many({})
    database["analytics"].delete_many({})
    folder = tmp_path / uuid.uuid4().hex
    now = datetime.now(timezone.utc)
    documents = [
        d
        # Fewer where each is a batch of its own.
        for d in random_documents(rng, [new_id(rng), new_id(rng)], min(12, 4 * page_size), now.date())
        if isinstance(d.get("updatedAt"), datetime)
    ]
    for document in documents:
        document["updatedAt"] = now - timedelta(seconds=rng.randrange(0, 50), milliseconds=5)
    rng.shuffle(documents)
    job = pipeline(spark, database, folder, page_size)
    for index in range(pieces):
        _apply(database, documents[index::pieces])
        assert job.batch.drain(StopFlag())
        if rng.random() < 0.4:
            job = pipeline(spark, database, folder, page_size)
    assert job.batch.drain(StopFlag(), since=now - timedelta(days=1))
    stored = list(database["healthmetrics"].find())
    assert_same_analytics(list(database["analytics"].find()), reference_analytics(stored, "UTC", now.date()))
