"""The users' documents as one table: the winner of a day, no garbage that raises, any order of reading."""

from __future__ import annotations

import random
from datetime import date, timezone
from typing import Any

import pyarrow as pa
import pytest
from bson import Code, DatetimeMS, Decimal128, MaxKey, MinKey, ObjectId, Regex
from bson.tz_util import utc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.health.history_table import history_schema, history_table
from analytics.health.validation import REASONS, DayRules, check_document
from contracts.health_metrics import METRICS
from tests.support import worked_example as example
from tests.support.reference_input import LIMITS, accepted_days, usable_value
from tests.support.strategies import histories, new_id, random_documents

RULES = DayRules(today=date(2025, 1, 15))
_EPOCH = date(1970, 1, 1)


def _number(day: date) -> int:
    return (day - _EPOCH).days


def test_an_empty_history_is_an_empty_table() -> None:
    """With the full schema."""
    assert history_table([], [], RULES).equals(history_schema().empty_table())


def test_other_users_are_left_out() -> None:
    """`user` is the index into the list asked for."""
    first, second, third = (ObjectId(bytes([n] * 12)) for n in (1, 2, 3))
    documents = [example.steps_document(1, n, user=user) for n, user in enumerate((first, second, third))]
    table = history_table(documents, [third, first], RULES)
    assert table.select(["user", "steps"]).to_pylist() == [
        {"user": 0, "steps": 2.0},
        {"user": 1, "steps": 0.0},
    ]


def test_naive_times_are_utc() -> None:
    """A store that gives naive datetimes beside aware ones does no harm."""
    aware = example.steps_document(1, 5)
    naive = example.steps_document(1, 6, updatedAt=aware["updatedAt"].replace(tzinfo=None), _id=MaxKey())
    naive["date"] = naive["date"].replace(tzinfo=None)
    assert history_table([naive, aware], [example.USER], RULES)["steps"].to_pylist() == [6.0]


_anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=5),
        st.binary(max_size=5), st.builds(ObjectId, st.binary(min_size=12, max_size=12)),
        st.datetimes(timezones=st.sampled_from([None, utc, timezone.utc])),
        st.sampled_from([DatetimeMS(2**60), Decimal128("NaN"), Decimal128("3"), MinKey(), Code("x"),
                         Regex("y")]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2),
                            st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)  # fmt: skip
_metrics = st.dictionaries(st.sampled_from([*METRICS, "heartRate", "other"]), _anything, max_size=4)
_any_document = st.fixed_dictionaries(
    {},
    optional={
        "_id": _anything,
        "userId": st.one_of(_anything, st.just(example.USER)),
        "date": st.one_of(_anything, st.just(example.day(1))),
        "updatedAt": st.one_of(_anything, st.just(example.day(1))),
        "source": st.one_of(_anything, st.just("manual")),
        "metrics": st.one_of(_anything, _metrics),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(_any_document, max_size=4), st.sampled_from(["UTC", "Pacific/Kiritimati", "America/Adak"]))
def test_nothing_in_a_document_raises(documents: list[dict[str, Any]], zone: str) -> None:
    """The table has at most one row a day, and only of documents that count; order does not matter."""
    rules = DayRules(zone, today=date(2025, 1, 15))
    table = history_table(documents, [example.USER], rules)
    checked = [check_document(document, rules) for document in documents]
    days = {c.day for c in checked if c.counts and c.user_id == example.USER}
    assert sorted(table["day"].to_pylist()) == sorted(day for day in days if day is not None)
    assert {r.reason for c in checked for r in c.rejections} <= REASONS.keys()


def _rows(table: pa.Table, users: list[ObjectId]) -> dict[tuple[ObjectId, int], list[float | None]]:
    rows = table.to_pylist()
    return {(users[row["user"]], row["day"]): [row[name] for name in METRICS] for row in rows}


def _expected_rows(
    documents: list[dict[str, Any]], zone: str, today: date
) -> dict[tuple[ObjectId, int], list[float | None]]:
    result: dict[tuple[ObjectId, int], list[float | None]] = {}
    for user, days in accepted_days(documents, zone, today).items():
        for day, metrics in days.items():
            usable = [usable_value(metrics.get(name), limits) for name, limits in LIMITS.items()]
            result[user, _number(day)] = [None if value is None else float(value) for value in usable]
    return result


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Auckland", "America/Adak"])
def test_random_histories_equal_the_references(zone: str) -> None:
    """The same winners with the same values, and the same table for every order of the documents."""
    rng = random.Random(zone)
    users = [new_id(rng) for _ in range(40)]
    documents = random_documents(rng, users, 200)
    today = date(2025, 6, 30)
    rules = DayRules(zone, today=today)
    table = history_table(documents, users, rules)
    assert _rows(table, users) == _expected_rows(documents, zone, today)
    rng.shuffle(documents)
    assert history_table(iter(documents), users, rules).equals(table)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(histories())
def test_any_history_equals_the_references(documents: list[dict[str, Any]]) -> None:
    """Hypothesis shrinks what the random ones would only show in bulk."""
    users = sorted({document["userId"] for document in documents})
    table = history_table(documents, users, DayRules(today=date(2025, 6, 30)))
    assert _rows(table, users) == _expected_rows(documents, "UTC", date(2025, 6, 30))
