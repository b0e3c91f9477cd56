"""The reference itself, against numbers worked out by hand: the contract's example and its corner cases."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from bson import ObjectId

from tests.support import worked_example as example
from tests.support.compare import assert_same_analytics
from tests.support.reference import Expected, reference_analytics
from tests.support.reference_input import calendar_day
from tests.support.strategies import new_id, random_documents


def _steps(values: dict[int, Any]) -> dict[str, Any]:
    documents = [example.steps_document(number, steps) for number, steps in values.items()]
    today = (example.day(max(values))).date()
    return dict(reference_analytics(documents, "UTC", today)[example.USER, "steps", "7day"]["analytics"])


@pytest.fixture
def worked() -> Expected:
    """The analytics of the worked example."""
    return reference_analytics(example.documents(), "UTC", example.TODAY)


def test_the_example_has_three_documents_and_no_doubt(worked: Expected) -> None:
    """Only steps have values, so there are three documents, of week, month and quarter."""
    assert {key: body["period"] for key, body in worked.items()} == {
        (example.USER, "steps", "7day"): "week",
        (example.USER, "steps", "30day"): "month",
        (example.USER, "steps", "90day"): "quarter",
    }
    assert worked.borderline == set()


def test_the_example_week(worked: Expected) -> None:
    """Average 9771.43 of days 9 to 15, +11.67 % against the mean 8750 of days 2 to 8, 100 % complete."""
    analytics = worked[example.USER, "steps", "7day"]["analytics"]
    assert analytics["rollingAverage"] == pytest.approx((8500 * 4 + 18000 + 8200 * 2) / 7)
    assert analytics["rollingAverage"] == pytest.approx(9771.43, abs=0.005)
    assert analytics["trend"] == "up"
    assert analytics["trendPercentage"] == pytest.approx(11.67, abs=0.005)
    assert analytics["comparisonToPrevious"] == {
        "absoluteChange": pytest.approx(9771.428571428 - 8750),
        "percentageChange": pytest.approx(11.67, abs=0.005),
        "isImprovement": True,
    }
    assert analytics["statistics"] == {
        # Squared distances from 9771.43: four of 1271.43², one of 8228.57², two of 1571.43²; over 6.
        "standardDeviation": pytest.approx(3631.214, abs=0.001),
        "minValue": 8200.0,
        "maxValue": 18000.0,
        "medianValue": 8500.0,
        "dataPointsCount": 7,
        "completenessPercentage": 100.0,
    }


@pytest.mark.parametrize("name", ["7day", "30day", "90day"])
def test_the_example_streak_percentile_and_anomaly(worked: Expected, name: str) -> None:
    """Streak 7 since day 9, longest 7; 3 of 14 values below 8200; day 13 anomalous with z = 11.35."""
    analytics = worked[example.USER, "steps", name]["analytics"]
    assert (analytics["streakDays"], analytics["longestStreak"]) == (7, 7)
    assert analytics["streakStartDate"] == example.day(9)
    assert analytics["percentile"] == pytest.approx(100 * 3 / 13)
    assert analytics["percentile"] == pytest.approx(23.08, abs=0.005)
    assert analytics["anomalyDetected"] is True
    details = analytics["anomalyDetails"]
    assert (details["actualValue"], details["expectedValue"]) == (18000.0, 8500.0)
    assert details["deviation"] == pytest.approx(11.35, abs=0.005)
    assert (18000 - 8500) / details["deviation"] == pytest.approx(836.66, abs=0.005)
    assert (details["severity"], details["detectedAt"]) == ("high", example.day(13))


def test_the_example_longer_ranges(worked: Expected) -> None:
    """30day is 14 of 30 days complete, 90day 14 of 90; without a previous range nothing is compared."""
    for name, length in (("30day", 30), ("90day", 90)):
        analytics = worked[example.USER, "steps", name]["analytics"]
        assert analytics["statistics"]["completenessPercentage"] == pytest.approx(100 * 14 / length)
        assert (analytics["trend"], analytics["trendPercentage"]) == ("stable", 0.0)
        assert analytics["comparisonToPrevious"] == {
            "absoluteChange": 0.0,
            "percentageChange": 0.0,
            "isImprovement": None,
        }


def test_the_example_sparkline(worked: Expected) -> None:
    """The week's days with a value, oldest first."""
    assert worked[example.USER, "steps", "7day"]["historicalData"] == [
        {"date": example.day(number), "value": float(example.STEPS[number])} for number in range(9, 16)
    ]


def test_five_percent_exactly_is_stable() -> None:
    """2.0 → 2.1 is 5.000000000000004 % in doubles; the threshold must be exceeded by 1e-9 relative."""
    assert _steps({1: 2.0, 8: 2.1})["trend"] == "stable"
    assert _steps({1: 2.0, 8: 2.10001})["trend"] == "up"
    assert _steps({1: 2.0, 8: 1.8})["trend"] == "down"


def test_a_huge_change_is_clamped_only_as_trend() -> None:
    """trendPercentage stops at 1000; percentageChange does not."""
    analytics = _steps({1: 1, 8: 100})
    assert analytics["trendPercentage"] == 1000.0
    assert analytics["comparisonToPrevious"]["percentageChange"] == 9900.0


def test_a_previous_mean_of_zero_has_a_change_but_no_percentage() -> None:
    """From 0 to 500 is an improvement of 500 whose percentage is 0."""
    comparison = _steps({1: 0, 8: 500})["comparisonToPrevious"]
    assert comparison == {"absoluteChange": 500.0, "percentageChange": 0.0, "isImprovement": True}


def test_four_values_are_no_baseline() -> None:
    """An anomaly needs five values in the 30 days before."""
    four = {1: 100, 2: 110, 3: 100, 4: 110}
    assert _steps({**four, 10: 9000})["anomalyDetected"] is False
    assert _steps({**four, 5: 105, 10: 9000})["anomalyDetected"] is True


def test_a_constant_baseline_has_no_anomaly() -> None:
    """Its deviation is 0, whatever rounding says."""
    assert _steps({**dict.fromkeys(range(1, 30), 0.1), 30: 9000})["anomalyDetected"] is False


def test_the_baseline_ends_thirty_days_before() -> None:
    """Values of day d − 30 belong to the baseline, those of day d − 31 do not."""
    near = {number: 100 + number % 2 for number in (31, 32, 33, 34)}
    assert _steps({**near, 10: 100, 40: 9000})["anomalyDetected"] is True
    assert _steps({**near, 9: 100, 40: 9000})["anomalyDetected"] is False


def test_a_day_of_1000_steps_breaks_the_streak() -> None:
    """More than 1000 is needed; a current run of 0 has no first day, the longest stays."""
    analytics = _steps({1: 1001, 2: 5000, 3: 1000})
    assert (analytics["streakDays"], analytics["longestStreak"], analytics["streakStartDate"]) == (0, 2, None)


def test_long_runs_are_reported_up_to_the_backends_limit() -> None:
    """A 1 000-day run is 1 000; 4 000 days are 3 650, since the true first day."""
    run = _steps(dict.fromkeys(range(1, 1001), 2000))
    assert (run["streakDays"], run["longestStreak"]) == (1000, 1000)
    run = _steps(dict.fromkeys(range(1, 4001), 2000))
    assert (run["streakDays"], run["longestStreak"]) == (3650, 3650)
    assert run["streakStartDate"] == example.day(1)


def test_one_value() -> None:
    """Percentile 50, deviation 0, one day of seven."""
    analytics = _steps({1: 42})
    assert analytics["percentile"] == 50.0
    assert analytics["statistics"]["standardDeviation"] == 0.0
    assert analytics["statistics"]["completenessPercentage"] == pytest.approx(100 / 7)


def test_weight_never_improves() -> None:
    """For weight `isImprovement` is null, even with a previous range."""
    documents = [example.steps_document(number, 0, metrics={"weight": 80 - number}) for number in (1, 8)]
    body = reference_analytics(documents, "UTC", example.TODAY)[example.USER, "weight", "7day"]
    assert body["analytics"]["comparisonToPrevious"] == {
        "absoluteChange": -7.0,
        "percentageChange": pytest.approx(-700 / 79),
        "isImprovement": None,
    }


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        (datetime(2025, 1, 2, tzinfo=timezone.utc), "America/New_York", date(2025, 1, 2)),
        (datetime(2025, 1, 2, 0, 1, tzinfo=timezone.utc), "America/New_York", date(2025, 1, 1)),
        (datetime(2025, 1, 1, 23, tzinfo=timezone.utc), "Europe/Berlin", date(2025, 1, 2)),
        (datetime(2025, 7, 1, 22, tzinfo=timezone.utc), "Europe/Berlin", date(2025, 7, 2)),
    ],
)
def test_days(moment: datetime, zone: str, expected: date) -> None:
    """00:00Z is that UTC date in every zone; other moments are local dates, summer time included."""
    assert calendar_day(moment, zone) == expected


def test_the_later_document_of_a_day_counts_whole() -> None:
    """The greater (updatedAt, _id) wins; values of the loser are not merged in."""
    early = example.steps_document(1, 100, metrics={"steps": 100, "weight": 70})
    late = example.steps_document(1, 200, _id="text", updatedAt=early["updatedAt"], source="manual")
    both = reference_analytics([late, early], "UTC", example.TODAY)
    assert {metric for _, metric, _ in both} == {"steps", "weight"}  # an ObjectId is greater than a text
    late["updatedAt"] += timedelta(milliseconds=1)
    assert {metric for _, metric, _ in reference_analytics([late, early], "UTC", example.TODAY)} == {"steps"}


def test_the_comparison_finds_differences() -> None:
    """A number off by 1e-8, a missing and an additional document, an int for a float: all are told."""
    expected = reference_analytics(example.documents(), "UTC", example.TODAY)
    actual = list(reference_analytics(example.documents(), "UTC", example.TODAY).values())
    assert_same_analytics(actual, expected)
    actual[0]["analytics"]["rollingAverage"] *= 1 + 1e-8
    actual[1]["analytics"]["percentile"] = 23
    actual[2]["userId"] = ObjectId()
    with pytest.raises(AssertionError, match="4 differences"):
        assert_same_analytics(actual, expected)


def test_random_documents_are_messy_and_depend_on_the_seed_alone() -> None:
    """The generator's histories lead to all metrics, some anomalies and both trends."""
    rng = random.Random(1)
    users = [new_id(rng) for _ in range(12)]
    documents = random_documents(random.Random(2), users, 120)
    assert [d.get("_id") for d in documents] == [
        d.get("_id") for d in random_documents(random.Random(2), users, 120)
    ]
    expected = reference_analytics(documents, "UTC", date(2025, 6, 30))
    assert len({metric for _, metric, _ in expected}) == 8
    trends = {body["analytics"]["trend"] for body in expected.values()}
    severities = {(body["analytics"]["anomalyDetails"] or {}).get("severity") for body in expected.values()}
    assert trends == {"up", "down", "stable"}
    assert severities == {None, "low", "medium", "high"}
