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
from pipelines.health import HealthPipeline, assemble
from pipelines.runner import StopFlag
from settings import load
from sinks.mongo_indexes import ensure_indexes
from sources.mongo_client import MonotonicClock, ServerClock
from sources.mongo_poll import MongoPoll
from tests.compare import assert_same_analytics
from tests.reference import reference_analytics
from tests.unit.strategies import new_id, random_documents


def _pipeline(
    spark: SparkSession, database: Database[dict[str, Any]], folder: Path, page_size: int
) -> HealthPipeline:
    """A pipeline as a freshly started process has it: no skip set, the cursor from the file."""
    options = {"dlq_directory": "dlq", "log_directory": "logs", "metrics_directory": "metrics"}
    options["checkpoint_location"] = "checkpoints"
    chosen = load(env_file=None, **{name: folder / value for name, value in options.items()})
    clock = MonotonicClock(ServerClock(database.client))
    source, target = database["healthmetrics"], database["analytics"]
    poll = MongoPoll(source, 60, page_size)
    poll.ensure_index()
    ensure_indexes(target)
    cursor = FileCursor(chosen.checkpoint_location, 3650)
    return assemble(chosen, spark, source, target, clock, cursor, poll)


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
        for d in random_documents(rng, [new_id(rng), new_id(rng)], 12, now.date())
        if isinstance(d.get("updatedAt"), datetime)
    ]
    for document in documents:
        document["updatedAt"] = now - timedelta(seconds=rng.randrange(0, 50), milliseconds=5)
    rng.shuffle(documents)
    job = _pipeline(spark, database, folder, page_size)
    for index in range(pieces):
        _apply(database, documents[index::pieces])
        assert job.batch.drain(StopFlag())
        if rng.random() < 0.4:
            job = _pipeline(spark, database, folder, page_size)
    assert job.batch.drain(StopFlag(), since=now - timedelta(days=1))
    stored = list(database["healthmetrics"].find())
    assert_same_analytics(list(database["analytics"].find()), reference_analytics(stored, "UTC", now.date()))
