"""The Spark job against the independent reference: every field of every document, many users at once."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from statistics import stdev
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from analytics.health.compute import compute
from analytics.health.history_table import history_table
from analytics.health.plain import result_row
from analytics.health.results import CalculatedResults
from analytics.health.validation import DayRules
from contracts.health_metrics import METRICS
from tests.support import worked_example as example
from tests.support.compare import assert_same_analytics
from tests.support.reference import reference_analytics
from tests.support.strategies import histories, new_id, random_documents

TODAY = date(2025, 6, 30)
CALCULATED_AT = datetime(2025, 7, 2, 3, 4, 5, 678_000, tzinfo=timezone.utc)
METADATA = {
    "sparkJobId": "app-1/batch-1",
    "sparkVersion": "4",
    "processingDurationMs": 1,
    "dataPointsProcessed": 1,
}


def _analytics(
    spark: SparkSession, documents: list[dict[str, Any]], zone: str = "UTC", today: date = TODAY
) -> list[dict[str, Any]]:
    """What the project computes from the raw documents."""
    owners = {d["userId"] for d in documents if isinstance(d.get("userId"), type(example.USER))}
    users = sorted(owners)
    history = history_table(documents, users, DayRules(zone, today=today))
    result = compute(spark, history, len(users))
    _assert_plain_says_the_same(history, result)
    return CalculatedResults(result, users, CALCULATED_AT, METADATA).documents(range(result.num_rows))


def _assert_plain_says_the_same(history: pa.Table, result: pa.Table) -> None:
    """What pages and `pulse explain` compute without Spark is equal to the last bit."""
    series: dict[tuple[int, str], dict[int, float]] = {}
    for row in history.to_pylist():
        for metric in METRICS:
            if row[metric] is not None:
                series.setdefault((row["user"], metric), {})[row["day"]] = row[metric]
    for row in result.to_pylist():
        plain = result_row(row["metric"], series[row["user"], row["metric"]], row["range"])
        assert {name: row[name] for name in plain} == plain


def _check(
    spark: SparkSession, documents: list[dict[str, Any]], zone: str = "UTC", today: date = TODAY
) -> None:
    assert_same_analytics(
        _analytics(spark, documents, zone, today), reference_analytics(documents, zone, today)
    )


def test_the_worked_example(spark: SparkSession) -> None:
    """All numbers of the contract's example, and the run's own fields beside them."""
    documents = _analytics(spark, example.documents(), today=example.TODAY)
    assert_same_analytics(documents, reference_analytics(example.documents(), "UTC", example.TODAY))
    week = next(document for document in documents if document["timeRange"] == "7day")
    assert week["analytics"]["rollingAverage"] == pytest.approx(9771.43, abs=0.005)
    assert week["analytics"]["trendPercentage"] == pytest.approx(11.67, abs=0.005)
    assert week["analytics"]["percentile"] == pytest.approx(23.08, abs=0.005)
    assert week["analytics"]["anomalyDetails"]["deviation"] == pytest.approx(11.35, abs=0.005)
    assert week["calculatedAt"] == CALCULATED_AT
    assert week["expiresAt"] == CALCULATED_AT + timedelta(days=90)
    assert {**week["metadata"], **METADATA} == week["metadata"]


@pytest.mark.parametrize(
    ("zone", "people", "days"),
    [
        ("UTC", 30, 250),
        ("Europe/Berlin", 20, 130),
        ("Pacific/Auckland", 20, 130),
        ("America/Adak", 130, 60),  # more users than one partition takes
    ],
)
def test_random_histories(spark: SparkSession, zone: str, people: int, days: int) -> None:
    """Gaps, nulls, late edits, rivals of a day, bad values, wearables: equal to 1e-9."""
    rng = random.Random(zone)
    users = [new_id(rng) for _ in range(people)]
    _check(spark, random_documents(rng, users, days, TODAY), zone)


def test_long_histories(spark: SparkSession) -> None:
    """Runs of 1 000 days and of more than the backend's 3 650, one that is over, one broken by a gap."""
    users = [new_id(random.Random(number)) for number in range(4)]
    spans = [range(1, 1001), range(1, 4001), [*range(1, 500), *range(600, 700)], [*range(1, 900), 2000]]
    documents = [
        example.steps_document(number, 1500 + number % 7, user=user)
        for user, span in zip(users, spans, strict=True)
        for number in span
    ]
    _check(spark, documents, today=example.day(4000).date())


def test_metrics_that_ended_at_different_times(spark: SparkSession) -> None:
    """D is per metric: a weight of two years ago keeps its own ranges beside today's steps."""
    old = [example.steps_document(n, 0, metrics={"weight": 80 + n % 3, "steps": 9000}) for n in range(1, 200)]
    new = [example.steps_document(n, 0, metrics={"weight": None, "steps": 900 + n}) for n in range(900, 960)]
    _check(spark, old + new, today=example.day(960).date())


def test_thresholds_need_to_be_exceeded(spark: SparkSession) -> None:
    """5 %, 2, 3 and 4 deviations and no change, hit exactly, are not exceeded, whatever rounding says."""
    baseline = [98.0, 102.0, 98.0, 102.0, 100.0]  # mean 100, deviation 2
    last_values = [104.0, 104.1, 106.0, 106.1, 108.0, 108.1, 96.0, 95.9]
    pairs = [(2.0, 2.1), (2.0, 1.9), (0.1, 0.1), (0.3, 0.1 + 0.2), (0.0, 0.0), (7.0, 7.0)]
    histories_of = [[*enumerate(baseline, 1), (6, value)] for value in last_values]
    histories_of += [[(1, before), (8, now)] for before, now in pairs]
    histories_of += [[*((n, 0.1) for n in range(1, 31)), (31, 5000.0)]]
    documents = [
        example.steps_document(day, value, user=new_id(random.Random(number)))
        for number, history in enumerate(histories_of)
        for day, value in history
    ]
    expected = reference_analytics(documents, "UTC", TODAY)
    assert_same_analytics(_analytics(spark, documents), expected)
    severities = [
        (expected[new_id(random.Random(number)), "steps", "7day"]["analytics"]["anomalyDetails"] or {}).get(
            "severity"
        )
        for number in range(len(last_values))
    ]
    assert severities == [None, "low", "low", "medium", "medium", "high", None, "low"]


_BASELINE = {1: 96.0, 2: 98.0, 3: 100.0, 4: 102.0, 5: 104.0}
# Steps by day, each a user's: where a formula changes its mind.
_CORNERS: Sequence[Mapping[int, float]] = (
    # Ranges: their first and last day, and the days around those.
    {0: 999, 1: 20, 7: 10, 8: 2, 14: 1}, {8: 2, 14: 1}, {13: 100, 14: 2, 20: 1}, {1: 4},
    # Means that are near, and shares of tiny ones, which are beyond the doubles.
    *({1: before, 8: now} for before, now in (
        (100, 110), (100, 90), (100, 105), (100, 95), (100, 105.05), (1, 5_000), (0.02, 100_000), (1e-305, 7),
        (5e-324, 100_000), (1e-323, 5e-324), (5e-324, 0), (0, 7), (1, 2), (2, 1), (1, 1), (0.3, 0.1 + 0.2),
    )),
    # Medians of an even and an odd number, and values that lie close together.
    {1: 1, 2: 9}, {1: 9, 2: 1, 3: 2}, {1: 9, 2: 3, 3: 1, 4: 2}, dict.fromkeys(range(1, 7), 5),
    {day: 90_000 + day * 1e-4 for day in range(30)},
    # The rank of the latest value, also among equals.
    {1: 2, 2: 1}, {1: 1, 2: 2}, {1: 3, 2: 3, 3: 3}, {1: 1, 2: 2, 3: 9, 4: 2}, {1: 1, 2: 0},
    # Baselines: their first day, too few values, constant ones; how far away from one a day is.
    {0: 1_000, 1: 10, 10: 12, 31: 50},
    *({first: 9, 10: 11, 20: 9, 25: 11, 30: 10, 31: 1_000} for first in (0, 1)),
    {20: 5, **{day: 0.1 + 0.2 if day % 2 else 0.3 for day in range(20)}},
    *({**_BASELINE, 6: 100 + away * stdev(_BASELINE.values())} for away in (-2, 2.01, -3, 3.01, 4, -4.01)),
    # Runs: the threshold, a gap, a break, one that is over, one that begins before 2025.
    {1: 2_000}, {1: 2_000, 2: 2_000, 4: 2_000}, {1: 2_000, 2: 500, 3: 2_000}, {1: 2_000, 2: 2_000, 3: 1_000},
    {1: 1_000, 2: 0}, {1: 1_000.5}, dict.fromkeys(range(-5, 6), 1_500), {1: 2_000, 2: 2_000}, {3: 2_000},
)  # fmt: skip


def test_the_corners_of_each_formula(spark: SparkSession) -> None:
    """Of steps as listed; weight is never better, and only steps have runs."""
    documents = [
        example.steps_document(day, value, user=new_id(random.Random(number)))
        for number, history in enumerate(_CORNERS)
        for day, value in history.items()
    ]
    other: dict[str, Any] = {"user": new_id(random.Random(len(_CORNERS))), "steps": None}
    for number, weight in ((1, 80), (2, 70), (9, 60)):
        documents.append(
            example.steps_document(number, **other, metrics={"weight": weight, "calories": 9_000 + number})
        )
    _check(spark, documents)


def test_no_usable_value_gives_no_documents(spark: SparkSession) -> None:
    """Neither an empty history nor one of nulls."""
    _check(spark, [])
    _check(spark, [example.steps_document(number, None) for number in range(1, 10)])


@settings(
    max_examples=12,
    deadline=None,
    # Each example is a Spark job: shrinking hundreds of them would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(histories(users=4), min_size=1, max_size=2))
def test_any_history(spark: SparkSession, parts: list[list[dict[str, Any]]]) -> None:
    """Hypothesis looks for a history on which the two disagree."""
    _check(spark, [document for part in parts for document in part])
