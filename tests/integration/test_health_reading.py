"""What of a health document travels: the contract's fields and no more, and no verdict changes by that."""

from __future__ import annotations

import tracemalloc
from datetime import date, datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch
from weakref import WeakSet

import bson
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from analytics.health.history_table import history_table
from analytics.health.validation import Checked, DayRules, check_document
from contracts.health import WEARABLE_FIELDS
from contracts.health_metrics import METRICS
from sources.health import replies
from sources.health.history import read_history
from sources.health.poll import MongoPoll
from sources.health.replies import read_documents
from sources.mongo_client import CONTRACT_FIELDS, for_reading
from tests.integration.test_any_document import DOCUMENTS, METRIC_VALUES, VALUES

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
RULES = DayRules(today=date(2026, 1, 1))
NAMES = [*METRICS, *WEARABLE_FIELDS]
ANY_METRICS = st.dictionaries(st.sampled_from([*NAMES, "samples", "metricsWhole"]), METRIC_VALUES)
ANY_DOCUMENTS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    DOCUMENTS,
    metrics=st.one_of(ANY_METRICS, st.lists(ANY_METRICS | VALUES, max_size=3), VALUES),
    metricsWhole=VALUES,
)


def _verdict(checked: Checked) -> tuple[Any, ...]:
    reasons = [(each.reason, each.field) for each in checked.rejections]
    return checked.user_id, checked.day, checked.values, checked.counts, checked.left_out, reasons


def _chosen(document: dict[str, Any]) -> dict[str, Any]:
    """The fields of the contract, as a letter keeps them."""
    found = {name: document[name] for name in CONTRACT_FIELDS if name in document}
    if isinstance(metrics := found.get("metrics"), dict):
        found["metrics"] = {name: metrics[name] for name in NAMES if name in metrics}
    return found


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(documents=st.lists(st.one_of(DOCUMENTS, ANY_DOCUMENTS), min_size=1, max_size=20))
def test_a_document_of_which_the_contract_s_fields_travel_is_judged_like_the_whole(
    database: Database[dict[str, Any]], documents: list[dict[str, Any]]
) -> None:
    """Whatever stands for `metrics`, a list of documents or a number: the same verdict, reasons, letters."""
    source = database["healthmetrics"]
    source.delete_many({})
    source.insert_many([{**document, "_id": number} for number, document in enumerate(documents)])
    whole = {document["_id"]: document for document in for_reading(source).find()}
    read = {document["_id"]: document for document in read_documents(source, {})}
    assert read.keys() == whole.keys()
    for number, document in read.items():
        assert _verdict(check_document(document, RULES)) == _verdict(check_document(whole[number], RULES))
        # As bytes: NaN does not equal itself.
        assert bson.encode(_chosen(document)) == bson.encode(_chosen(whole[number]))
        assert document.keys() <= set(CONTRACT_FIELDS)


def test_a_server_that_takes_no_conditions_in_a_projection_is_read_all_the_same(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MongoDB before 4.4, DocumentDB: all of `metrics` travels."""
    # Clients of one address are equal.
    monkeypatch.setattr(replies, "_TAKE_CONDITIONS", WeakSet())
    database["healthmetrics"].insert_many([{"metrics": {"steps": 5, "samples": [1]}}, {"metrics": 7}])
    source = database["healthmetrics"]
    read = source.find_raw_batches

    def find(_self: Any, condition: Any, projection: Any, **options: Any) -> Any:
        if any(isinstance(value, dict) for value in projection.values()):
            raise OperationFailure("Unsupported projection option: metricsWhole", 2)
        return read(condition, projection, **options)

    with (
        patch.object(Collection, "find_raw_batches", find),
        patch.object(Collection, "find_one", find),
    ):
        found = [document["metrics"] for document in read_documents(source, {})]
    assert found == [{"steps": 5, "samples": [1]}, 7]


# Where a day's samples may lie; as text, which is decoded quickly.
SAMPLES = "x" * 1_500_000
SAMPLED: dict[str, dict[str, Any]] = {
    "beside the metrics": {"metrics": {"steps": 5, "samples": SAMPLES}},
    "at a wearable's field": {"metrics": {"steps": 5}, "heartRate": SAMPLES},
    "as a wearable's metric": {"metrics": {"steps": 5, "heartRate": SAMPLES}},
    "for the metrics": {"metrics": SAMPLES},
}
SAMPLED_USERS = [ObjectId(number.to_bytes(12, "big")) for number in range(40)]
# The longest reply is 16 MB, which the driver holds six times while it receives it; two pages lie beside it.
MOST_BYTES = 180_000_000


@pytest.mark.parametrize(
    ("place", "apart"),
    [*((place, timedelta(0)) for place in SAMPLED), ("at a wearable's field", timedelta(seconds=30))],
)
def test_memory_follows_bytes_and_not_the_number_of_documents(
    source: Collection[dict[str, Any]], place: str, apart: timedelta
) -> None:
    """60 MB of documents with samples are polled, and their users' histories read, in pages of 16 MB."""
    same = {"date": NOW - timedelta(days=1), "source": "manual", **SAMPLED[place]}
    source.insert_many(
        {**same, "userId": user, "updatedAt": NOW - number * apart}
        for number, user in enumerate(SAMPLED_USERS)
    )
    # What is loaded once does not count.
    history_table([], [], RULES)
    tracemalloc.start()
    try:
        pages = MongoPoll(source, 60, 10_000).begin(NOW - timedelta(hours=1), NOW)
        polled = [sum(1 for _ in page.documents) for page in pages]
        rows = history_table(read_history(source, SAMPLED_USERS), SAMPLED_USERS, RULES).num_rows
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    is_small = place == "beside the metrics"
    assert (sum(polled), rows) == (40, 40 if is_small else 0)
    assert max(polled) == 40 if is_small else max(polled) <= 11
    assert peak < (1_000_000 if is_small else MOST_BYTES)


@pytest.fixture
def source(database: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """The polled collection with its index."""
    MongoPoll(database["healthmetrics"], 60, 10).ensure_index()
    return database["healthmetrics"]
