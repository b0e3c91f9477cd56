"""Fuzzing: whatever BSON lies in the source, a batch succeeds and accounts for every document."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pyspark.sql import SparkSession

from analytics.health.validation import DayRules, check_document
from contracts import FailedWrite
from contracts.bson_order import sort_key
from contracts.health_metrics import METRICS
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.recompute.brake import COMPUTATION_FAILED
from sinks.dead_letters import DeadLetters
from sources.health.census import take_census
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
# Often the same day, so that documents lose it to each other.
DAYS = st.integers(0, 3).map(lambda days: datetime.now(timezone.utc) - timedelta(days=days))
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
# Some at the same time, and one that the poll does not see yet.
MOMENTS = st.sampled_from([90, 3, 3, 1, 0.1, -5]).map(
    lambda minutes: datetime.now(timezone.utc).replace(microsecond=0) - timedelta(minutes=minutes)
)
# What lies there mostly; without it nothing counts, and nothing loses its day.
USUAL = st.fixed_dictionaries(
    {
        "userId": USERS,
        "date": DAYS,
        "source": st.sampled_from(["googlefit", "manual", "manual", "import"]),
        "metrics": st.dictionaries(st.sampled_from(list(METRICS)), st.integers(0, 500)),
    }
)
START = datetime(1970, 1, 1, tzinfo=timezone.utc)
IDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.floats(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.uuids(),
    st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(timezone.utc)),  # noqa: DTZ001
    st.dictionaries(NAMES, st.integers(0, 9), min_size=1, max_size=2),
)


def _ends(documents: list[dict[str, Any]], stored: list[dict[str, Any]], rules: DayRules) -> Counter[str]:
    """By the contract: of the documents that count the greatest (updatedAt, _id) of a day wins it."""
    winners: dict[Any, Any] = {}
    for document in stored:
        checked = check_document(document, rules)
        if checked.counts:
            order = document["updatedAt"], sort_key(document["_id"])
            key = checked.user_id, checked.day
            winners[key] = max(winners.get(key, order), order)
    found: Counter[str] = Counter()
    for document in documents:
        checked = check_document(document, rules)
        if checked.counts:
            order = document["updatedAt"], sort_key(document["_id"])
            won = winners[checked.user_id, checked.day] == order
            found["written" if won else "superseded"] += 1
        else:
            found["refused" if checked.rejections else "left_out"] += 1
    return found


def _summed(batches: list[dict[str, Any]], name: str) -> Counter[str]:
    """A field of the batch log that counts by name, over all batches."""
    return sum((Counter(batch[name]) for batch in batches), Counter())


def _metric(folder: Path, name: str, label: str) -> Counter[str]:
    """A counter of the metrics file by its label."""
    text = (folder / "metrics" / "spark_analytics_metrics.prom").read_text()
    found = re.findall(rf'^health_{name}{{{label}="([^"]*)"}} (\S+)$', text, re.MULTILINE)
    return Counter({value: int(float(number)) for value, number in found if float(number)})


def _insert(database: Database[dict[str, Any]], documents: list[dict[str, Any]]) -> None:
    """Insert each under its own id, which may be one that is there already."""
    for document in documents:
        with suppress(DuplicateKeyError):
            database["healthmetrics"].insert_one(document)


@settings(
    max_examples=20,
    # A failing example is a few documents anyway; shrinking it means minutes of batches.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(
    odd=st.lists(st.tuples(IDS, DOCUMENTS, st.one_of(RECENT, RECENT, VALUES)), min_size=1, max_size=30),
    usual=st.lists(st.tuples(IDS, USUAL, MOMENTS), min_size=4, max_size=12),
    page_size=st.sampled_from([1, 7, 1000]),
)
def test_every_document_has_exactly_one_of_the_five_ends(
    spark: SparkSession,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    odd: list[tuple[Any, dict[str, Any], Any]],
    usual: list[tuple[Any, dict[str, Any], Any]],
    page_size: int,
) -> None:
    """Any BSON as document, `_id` and `updatedAt`: no exception, and its end is counted once.

    The batch log and the metrics say the same, each thing that is wrong has its dead letter, and what the
    poll cannot see is in the census.
    """
    database["healthmetrics"].delete_many({})
    database["analytics"].delete_many({})
    _insert(
        database, [{**document, "_id": each, "updatedAt": updated} for each, document, updated in odd + usual]
    )
    folder = tmp_path / uuid.uuid4().hex
    job = pipeline(spark, database, folder, page_size=page_size)
    job.cursor.set(START + timedelta(seconds=60), datetime.now(timezone.utc))
    now = datetime.now(timezone.utc)
    assert job.batch.drain(StopFlag()), job.reporting.history.recent()
    stored = list(for_reading(database["healthmetrics"]).find())
    # What is dated before the cursor was processed long ago.
    polled = [
        d for d in stored if isinstance(d.get("updatedAt"), datetime) and START <= d["updatedAt"] <= now
    ]
    owned = [document for document in polled if document.get("userId") is not None]
    rules = DayRules.at(now, "UTC")
    batches = job.reporting.history.recent()
    found = _ends(owned, stored, rules)
    assert sum(batch["records_processed"] for batch in batches) == len(owned) == found.total()
    assert _summed(batches, "records_by_outcome") == found
    assert _metric(folder, "records_by_outcome_total", "outcome") == found
    assert _summed(batches, "left_out_by_reason").total() == found["left_out"]
    assert _metric(folder, "left_out_total", "reason").total() == found["left_out"]
    expected = [rejected for document in owned for rejected in check_document(document, rules).rejections]
    reasons = Counter(rejected.reason for rejected in expected)
    assert _summed(batches, "rejected_by_reason") == reasons
    assert _metric(folder, "rejected_total", "reason") == reasons
    letters = Counter((letter.reason, letter.field) for letter in DeadLetters(folder / "dlq").list())
    assert letters == Counter((rejected.reason, rejected.field) for rejected in expected)
    assert all(
        a["userId"] in {ObjectId(bytes([n]) * 12) for n in (1, 2)} for a in database["analytics"].find()
    )
    _assert_census(database, stored, now)


def _assert_census(database: Database[dict[str, Any]], stored: list[dict[str, Any]], now: datetime) -> None:
    unseen = {entry.kind: entry.count for entry in take_census(database["healthmetrics"], now)}
    dates = (datetime, DatetimeMS)
    assert unseen["missing"] == sum(document.get("updatedAt") is None for document in stored)
    assert unseen["wrong_type"] == sum(
        not isinstance(document.get("updatedAt"), dates) and document.get("updatedAt") is not None
        for document in stored
    )


def test_the_documents_of_a_user_who_is_set_aside_are_refused(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """Their values count in nothing; the letter that stands for the user is the reason, on each page."""
    now = datetime.now(timezone.utc)
    good, poison = (ObjectId(bytes([number]) * 12) for number in (1, 2))
    days = [now - timedelta(days=back) for back in range(1, 7)]
    database["healthmetrics"].insert_many(
        {"userId": user, "date": day, "updatedAt": day, "source": "manual", "metrics": {"steps": 5}}
        for day in days
        for user in (good, poison)
    )
    job = pipeline(spark, database, tmp_path, page_size=4)
    letters = DeadLetters(tmp_path / "dlq")
    letters.store([FailedWrite({"userId": poison, "cause": ""}, COMPUTATION_FAILED)], "before", now)
    assert job.batch.drain(StopFlag())
    batches = job.reporting.history.recent()
    assert len(batches) > 2
    assert _summed(batches, "records_by_outcome") == {"written": len(days), "refused": len(days)}
    assert _summed(batches, "rejected_by_reason") == {COMPUTATION_FAILED: len(days)}


def test_a_document_that_lost_its_day_is_counted_wherever_its_winner_was_polled(
    spark: SparkSession, database: Database[dict[str, Any]], mongo_uri: str, tmp_path: Path
) -> None:
    """On the same page, on an earlier or later one, or in an earlier drain; on the driver and the executors.

    One that was written and loses its day afterwards stays counted as it was: each is counted once.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    users = [ObjectId(bytes([number]) * 12) for number in range(1, 5)]
    day = now.replace(hour=0, minute=0, second=0) - timedelta(days=2)

    def at(user: ObjectId, minutes: float, steps: int, hour: int) -> dict[str, Any]:
        date, updated = day + timedelta(hours=hour), now - timedelta(minutes=minutes)
        same = {"userId": user, "source": "manual", "metrics": {"steps": steps}}
        return {**same, "date": date, "updatedAt": updated}

    for settings_of, name in ({}, "driver"), ({"executors_from_users": 1}, "executors"):
        database["healthmetrics"].delete_many({})
        database["healthmetrics"].insert_many(
            at(user, *one) for user in users for one in ((9, 9000, 1), (5, 8000, 2), (3, 10, 0))
        )
        job = pipeline(
            spark, database, tmp_path / name, page_size=3, mongo_uri=mongo_uri,
            mongo_db_name=database.name, **settings_of,
        )  # fmt: skip
        assert job.batch.drain(StopFlag())
        assert _summed(job.reporting.history.recent(), "records_by_outcome") == {
            "written": 4,
            "superseded": 8,
        }
        late, winner = at(users[0], 4, 7000, 3), at(users[1], 0.01, 2000, 4)
        database["healthmetrics"].insert_many([{**late, "updatedAt": now - timedelta(seconds=190)}, winner])
        # Committed late: dated before what was read already.
        assert job.batch.drain(StopFlag(), since=now - timedelta(seconds=200))
        assert _summed(job.reporting.history.recent(), "records_by_outcome") == {
            "written": 5,
            "superseded": 9,
        }


def test_thousands_of_sources_are_few_labels(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """A writer that puts an id into `source` makes neither log nor metrics grow; everything is counted."""
    user, now = ObjectId(), datetime.now(timezone.utc)
    database["healthmetrics"].insert_many(
        {"userId": user, "date": now, "updatedAt": now, "source": f"{number}\x1b[2J\n" + "x" * 500}
        for number in range(3_000)
    )
    job = pipeline(spark, database, tmp_path, page_size=1_000)
    assert job.batch.drain(StopFlag())
    batches = job.reporting.history.recent()
    assert _summed(batches, "records_by_outcome") == {"left_out": 3_000}
    assert _summed(batches, "left_out_by_reason").total() == 3_000
    assert max(len(batch["left_out_by_reason"]) for batch in batches) <= 21
    labels = _metric(tmp_path, "left_out_total", "reason")
    assert labels.total() == 3_000
    assert len(labels) <= 101
    assert all(label.isprintable() and len(label) <= 100 for label in labels)
