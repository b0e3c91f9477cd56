"""Explained results: equal to the reference on any history, and a reason for whatever is not."""

from __future__ import annotations

from copy import deepcopy
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.health.comparison import causes, differences, verdict
from analytics.health.explanation import Explanation, corrected, explain, part_of
from analytics.health.formulas import formulas
from analytics.health.history_table import history_table
from analytics.health.past import name_of
from analytics.health.schemas import RANGES
from analytics.health.validation import DayRules
from contracts import ENDS
from contracts.health import RANGE_NAMES
from contracts.health_metrics import METRICS
from tests.support import worked_example as example
from tests.support.reference import reference_analytics
from tests.support.strategies import histories

TODAY = date(2025, 6, 30)
_CALCULATED = datetime(2025, 1, 15, 23, tzinfo=timezone.utc)


def _stored(documents: list[dict[str, Any]], today: date = example.TODAY, **fields: Any) -> dict[str, Any]:
    """The stored result of the example's 7 days of steps."""
    result = reference_analytics(documents, "UTC", today)[example.USER, "steps", "7day"]
    return {**deepcopy(result), "calculatedAt": _CALCULATED, "metadata": {}, **fields}


def _explained(
    documents: list[dict[str, Any]], stored: dict[str, Any] | None, today: date = example.TODAY
) -> Explanation:
    return explain(documents, "steps", "7day", DayRules(today=today), stored)


@settings(max_examples=30)
@given(histories(users=1), st.sampled_from(["UTC", "Asia/Tokyo"]))
def test_any_explained_result_equals_the_reference(documents: list[dict[str, Any]], zone: str) -> None:
    """All metrics and ranges of one user: the same figures and days, nothing where there is no value."""
    expected = reference_analytics(documents, zone, TODAY)
    rules = DayRules(zone, today=TODAY)
    for user in {one["userId"] for one in documents if isinstance(one.get("userId"), ObjectId)}:
        mine = [one for one in documents if one.get("userId") == user]
        for metric in METRICS:
            for name in RANGES:
                reference = expected.get((user, metric, name))
                explanation = explain(mine, metric, name, rules, reference)
                if (user, metric, name) not in expected.borderline:
                    assert differences(reference, explanation.computed) == []
                    assert causes(explanation) == []
                assert bool(formulas(explanation)) == bool(explanation.series)
                assert corrected(explanation, {}) == explanation.computed


@settings(max_examples=30)
@given(histories(users=1))
def test_every_document_has_an_end_and_the_winners_are_those_of_the_batch(
    documents: list[dict[str, Any]],
) -> None:
    """One verdict a document, at most one value a day, and the values that a batch would take."""
    rules = DayRules(today=TODAY)
    for user in {one["userId"] for one in documents if isinstance(one.get("userId"), ObjectId)}:
        mine = [one for one in documents if one.get("userId") == user]
        table = history_table(mine, [user], rules).to_pylist()
        for metric in METRICS:
            explanation = explain(mine, metric, "90day", rules, None)
            assert len(explanation.documents) == len(mine)
            taken = {row["day"]: row[metric] for row in table if row[metric] is not None}
            assert explanation.series == taken
            for one in explanation.documents:
                assert one.end in {*ENDS, "no value"}
                assert (one.value is None) == bool(one.reason)
                assert (one.value is not None) == (one.end == "written")


def test_the_example_is_written_out() -> None:
    """The contract's numbers stand in the formulas, as a person would write them."""
    documents = example.documents()
    told = {each.figure: each for each in formulas(_explained(documents, _stored(documents)))}
    assert told["Rolling average"].working == "(8,500 + 8,500 + 8,500 + 8,500 + 18,000 + 8,200 + 8,200) / 7"
    assert told["Rolling average"].value == "9,771.428571"
    assert told["Trend"].working.startswith("100 × (9,771.43 − 8,750) / 8,750; 8,750 is the mean of 6 values")
    assert "2025-01-13: (18,000 − 8,500) / 836.66 = 11.3547" in told["Anomaly"].working
    assert told["Percentile"].working.startswith("100 × 3 / 13: 3 of the other 13 values")
    assert told["Streak"].working == "each day from 2025-01-09 to 2025-01-15 has more than 1,000 steps"


_LATE: dict[str, Any] = {"updatedAt": _CALCULATED + timedelta(hours=1), "_id": ObjectId()}


def _late(documents: list[dict[str, Any]], stored: dict[str, Any]) -> None:
    documents.append(example.steps_document(15, 9000, **_LATE))


def _deleted(documents: list[dict[str, Any]], stored: dict[str, Any]) -> None:
    del documents[-1]


def _silent(documents: list[dict[str, Any]], stored: dict[str, Any]) -> None:
    documents[-1]["metrics"] = {"steps": 5}


def _rules(documents: list[dict[str, Any]], stored: dict[str, Any]) -> None:
    stored["metadata"] = {"past": {"rules": "others"}}
    documents[0]["source"] = "elsewhere"
    stored["analytics"]["longestStreak"] = 99


def _same_rules(documents: list[dict[str, Any]], stored: dict[str, Any]) -> None:
    stored["metadata"] = {"past": {"rules": name_of(DayRules(today=example.TODAY))}}
    stored["analytics"]["percentile"] = 12.5


def _ahead(documents: list[dict[str, Any]], stored: dict[str, Any]) -> None:
    documents.append(example.steps_document(17, 9000, updatedAt=_CALCULATED - timedelta(hours=1)))


@pytest.mark.parametrize(
    ("change", "today", "cause"),
    [
        (_late, example.TODAY, "1 document changed after it was calculated, the latest at 2025-01-16 00:00"),
        (_deleted, example.TODAY, "It has 2025-01-15 of which no document counts any more"),
        (_silent, example.TODAY, "It has 2025-01-15 with another value, and updatedAt is no newer"),
        (_rules, example.TODAY, "It was calculated under other rules"),
        (_same_rules, example.TODAY, "It was calculated by another version of the program"),
        (_ahead, example.day(17).date(), "1 day lay in the future when it was calculated"),
    ],
    ids=["late", "deleted", "silent", "rules", "version", "future"],
)
def test_what_is_not_equal_has_its_reason(change: Any, today: date, cause: str) -> None:
    """One sentence a kind of reason, and no other one."""
    documents = example.documents()
    stored = _stored(documents)
    change(documents, stored)
    explanation = _explained(documents, stored, today)
    assert verdict(explanation) == "It is not the stored result."
    (told,) = causes(explanation)
    assert told.startswith(cause)


def test_a_change_without_an_effect_is_told() -> None:
    """The same value written again leaves the result as it is."""
    documents = example.documents()
    stored = _stored(documents)
    documents[3]["updatedAt"] = _CALCULATED + timedelta(hours=1)
    explanation = _explained(documents, stored)
    assert causes(explanation) == []
    assert verdict(explanation).endswith("1 document changed since, without an effect on it.")


def test_without_a_result_there_is_a_sentence() -> None:
    """Nothing stored and no value is right; a value without a result is not."""
    assert verdict(_explained([], None)) == "There is no value, and so no result."
    assert causes(_explained(example.documents(), None))[0].startswith("No result is stored")


@given(st.dictionaries(st.integers(1, 15), st.none() | st.integers(0, 100_000), max_size=4))
def test_a_correction_is_what_a_corrected_document_gives(days: dict[int, int | None]) -> None:
    """The same as if the backend had the corrected days."""
    numbers = {**example.STEPS, **days}
    epoch = example.day(1).toordinal() - 719_163
    found = corrected(
        _explained(example.documents(), None),
        {epoch + day - 1: None if value is None else float(value) for day, value in days.items()},
    )
    documents = [example.steps_document(day, value) for day, value in numbers.items()]
    expected = reference_analytics(documents, "UTC", example.TODAY)
    assert differences(expected.get((example.USER, "steps", "7day")), found) == []


def test_each_day_is_told_what_it_is_for() -> None:
    """Of 7 days the range, the range before, the percentile; of an old one nothing but the streak."""
    documents = [example.steps_document(day, 2000) for day in (1, 200, 290, 295, 300)]
    explanation = _explained(documents, None, example.day(300).date())
    found = [part_of(explanation, day) for day in explanation.series]
    assert found == ["streaks alone", "streaks alone", "the range before", "the range", "the range"]
    sleep = explain(documents, "weight", "7day", DayRules(today=TODAY), None)
    assert part_of(sleep, 0) == ""


def test_the_names_of_the_ranges_are_told_in_one_place() -> None:
    """Commands take what the formulas compute."""
    assert tuple(RANGES) == RANGE_NAMES
    assert list(RANGES.values()) == [7, 30, 90]
