"""Fuzzing: whatever BSON lies in the source, a batch succeeds and accounts for every document."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pyspark.sql import SparkSession

from analytics.validation import METRICS, DayRules, check_document
from pipelines.runner import StopFlag
from sinks.dead_letters import DeadLetters
from sources.mongo_client import for_reading
from tests.integration.test_any_cutting import pipeline

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0.$"), min_size=1, max_size=8)
ATOMS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.floats(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.binary(max_size=20).map(Binary),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(timezone.utc)),  # noqa: DTZ001
    st.integers(-(2**62), 2**62).map(DatetimeMS),
    st.sampled_from([Decimal128("NaN"), Decimal128("-Infinity"), Decimal128("1E+6000"), Decimal128("7.25")]),
    st.sampled_from([Regex("a*"), Code("x"), Timestamp(1, 2), MinKey(), MaxKey()]),
    st.binary(min_size=12, max_size=12).map(ObjectId),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
USERS = st.sampled_from([ObjectId(bytes([number]) * 12) for number in (1, 2)])
RECENT = st.integers(0, 400).map(lambda days: datetime.now(timezone.utc) - timedelta(days=days))
METRIC_VALUES = st.floats(-10, 110_000) | st.integers(0, 500) | VALUES
DOCUMENTS = st.fixed_dictionaries(
    {"userId": USERS | VALUES, "date": RECENT | VALUES, "updatedAt": RECENT},
    optional={
        "source": st.sampled_from(["googlefit", "manual", "import"]) | VALUES,
        "metrics": st.dictionaries(st.sampled_from(list(METRICS)), METRIC_VALUES) | VALUES,
        "heartRate": VALUES,
        "extra": VALUES,
    },
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=30))
def test_every_document_is_used_rejected_or_ignored(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path, documents: list[dict[str, Any]]
) -> None:
    """No exception, every polled document counted, and a dead letter for each thing that is wrong with it."""
    database["healthmetrics"].delete_many({})
    database["healthmetrics"].insert_many([{**document, "_id": ObjectId()} for document in documents])
    folder = tmp_path / uuid.uuid4().hex
    job = pipeline(spark, database, folder, page_size=1000)
    assert job.batch.drain(StopFlag()), job.history.recent()
    stored = [d for d in for_reading(database["healthmetrics"]).find() if d.get("userId") is not None]
    rules = DayRules.at(datetime.now(timezone.utc), "UTC")
    expected = [rejected for document in stored for rejected in check_document(document, rules).rejections]
    batches = job.history.recent()
    assert sum(batch["records_processed"] for batch in batches) == len(stored)
    rejected = sum(sum(batch["rejected_by_reason"].values()) for batch in batches)
    assert rejected == len(expected)
    letters = {
        (letter.record.get("_id"), letter.reason, letter.field)
        for letter in DeadLetters(folder / "dlq").list()
    }
    assert letters == {(r.document["_id"], r.reason, r.field) for r in expected}
    assert all(
        a["userId"] in {ObjectId(bytes([n]) * 12) for n in (1, 2)} for a in database["analytics"].find()
    )
    database["analytics"].delete_many({})
