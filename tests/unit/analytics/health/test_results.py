"""Hashes of results: equal exactly where the documents are equal, wherever and however they are computed."""

from __future__ import annotations

import hashlib
import math
import random
from datetime import timedelta
from typing import Any

import bson
import pyarrow as pa
import pytest
from bson.objectid import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.health.documents import CONTENT_VERSION
from analytics.health.results import CalculatedResults
from analytics.health.schemas import RANGES, RESULT_SCHEMA
from contracts.health_metrics import METRICS
from tests.support.compare import RUN_FIELDS
from tests.unit.analytics.health.test_documents import CALCULATED_AT, ROW

USERS = [ObjectId(bytes([number]) * 12) for number in range(3)]
METADATA = {"sparkJobId": "app:batch_1", "dataPointsProcessed": 7}
# What the documents of `_wide_rows` are in this version of their shape, without what belongs to the run.
_VERSION, _DIGEST = 1, "d67e9cd3e2d7b957"


def _results(rows: list[dict[str, Any]], chunk: int = 1_000, **changes: Any) -> CalculatedResults:
    batches = pa.Table.from_pylist(rows, RESULT_SCHEMA).to_batches(max_chunksize=chunk)
    table = pa.Table.from_batches(batches, RESULT_SCHEMA)
    made = {"users": USERS, "calculated_at": CALCULATED_AT, "metadata": METADATA, **changes}
    return CalculatedResults(table, made["users"], made["calculated_at"], made["metadata"])


def _content(results: CalculatedResults, row: int) -> bytes:
    (document,) = results.documents([row])
    return bson.encode({name: value for name, value in document.items() if name not in RUN_FIELDS})


def _wide_rows() -> list[dict[str, Any]]:
    """Each metric and range, with and without each part that may lack, and beyond each limit."""
    anomaly = dict.fromkeys([name for name in ROW if name.startswith("anomaly_")])
    extremes: list[dict[str, Any]] = [
        {}, anomaly, {"anomaly_deviation": -2.5, "anomaly_severity": "low"}, {"is_improvement": None},
        {"streak_days": 4_000, "longest_streak": 5_000, "streak_start": 16_000},
        {"trend_percentage": 5e5, "trend": "down"}, {"trend_percentage": -100.0, "trend": "stable"},
    ]  # fmt: skip
    return [
        {**ROW, "metric": metric, "range": length, **extreme}
        for metric in METRICS
        for length in RANGES
        for extreme in extremes
    ]


def test_another_shape_of_the_documents_has_another_version() -> None:
    """If this fails, the same row makes another document: raise CONTENT_VERSION, and note both numbers here.

    Otherwise results that are stored in the old shape would pass for equal, and keep it.
    """
    rows = _wide_rows()
    results = _results(rows)
    digest = hashlib.sha256(b"".join(_content(results, row) for row in range(len(rows)))).hexdigest()[:16]
    assert (CONTENT_VERSION, digest) == (_VERSION, _DIGEST)


@pytest.mark.parametrize("name", [name for name in RESULT_SCHEMA.names if name != "last_day"])
def test_whatever_differs_in_a_row_changes_its_hash(name: str) -> None:
    """Each column counts, by its least digit; and null is not 0."""
    kind = RESULT_SCHEMA.field(name).type
    plain = ROW[name]
    other: Any
    if pa.types.is_string(kind):
        other = {"metric": "steps", "range": "7day", "trend": "down", "anomaly_severity": "high"}[name]
    elif pa.types.is_boolean(kind):
        other = not plain
    elif pa.types.is_list(kind):
        other = [plain[0] + (1 if name == "history_days" else 1e-9), *plain[1:]]
    elif pa.types.is_floating(kind):
        other = math.nextafter(plain, math.inf)
    else:
        other = (plain or 0) + 1
    rows = [{**ROW, name: ROW[name]}, {**ROW, name: other}]
    first, second = _results(rows).hashes
    assert first != second
    if not pa.types.is_list(kind) and name not in {"user", "metric", "range"}:
        nothing, zero = _results([{**ROW, name: None}, {**ROW, name: _zero(kind)}]).hashes
        assert nothing != zero


def _zero(kind: pa.DataType) -> Any:
    return "" if pa.types.is_string(kind) else pa.scalar(0).cast(kind).as_py()


_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "user": st.integers(0, 2),
            "metric": st.sampled_from(["steps", "weight"]),
            "mean": st.sampled_from([1.0, 2.0]),
            "history": st.lists(
                st.sampled_from([(1, 1.0), (2, 1.0), (2, 2.0)]), max_size=2, unique_by=lambda day: day[0]
            ),
        }
    ),
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(drawn=_ROWS, chunk=st.integers(1, 7), seed=st.integers(0, 9))
def test_hashes_are_equal_where_keys_and_contents_are(
    drawn: list[dict[str, Any]], chunk: int, seed: int
) -> None:
    """Whatever the order of rows and days, the chunks, the numbers of users, the time and the run."""
    rows = [_as_row(one) for one in drawn]
    there = _results(rows)
    shuffled = random.Random(seed).sample(rows, len(rows))
    elsewhere = _results(
        [
            {**row, "user": 2 - row["user"], "history_days": row["history_days"][::-1],
             "history_values": row["history_values"][::-1]}
            for row in shuffled
        ],
        chunk,
        users=USERS[::-1],
        calculated_at=CALCULATED_AT + timedelta(hours=1),
        metadata=dict.fromkeys(METADATA, 9),
    )  # fmt: skip
    assert sorted(there.keys) == sorted(elsewhere.keys)
    everything = [
        (results.keys[row], _content(results, row), results.hashes[row])
        for results in (there, elsewhere)
        for row in range(len(rows))
    ]
    for _, content, content_hash in everything:
        assert {one[2] for one in everything if one[1] == content} == {content_hash}
        assert {one[1] for one in everything if one[2] == content_hash} == {content}


def _as_row(drawn: dict[str, Any]) -> dict[str, Any]:
    history = drawn.pop("history")
    return {
        **ROW,
        **drawn,
        "history_days": [one[0] for one in history],
        "history_values": [one[1] for one in history],
    }


def test_a_document_has_the_hash_of_its_content() -> None:
    """Beside what the metadata tell of the run; another set of names there is other content."""
    results = _results([ROW])
    (document,) = results.documents([0])
    assert document["metadata"] == {**METADATA, "contentHash": results.hashes[0]}
    assert _results([ROW], metadata={**METADATA, "more": 1}).hashes != results.hashes
