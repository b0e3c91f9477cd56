"""One user's results and the series that the charts draw of them."""

from __future__ import annotations

import secrets
from datetime import date, datetime, timezone
from typing import Any

import pandas as pd
import pytest
from bson import ObjectId

from contracts.health_metrics import StreakRule
from dashboard.data.user import daily_frame, read_user, stored_anomalies, streak_calendar, unusual_of
from simulation.health.population import PATTERN_USER_ID
from sources.mongo_client import connect

_RULE = StreakRule(">", 1000)

_TODAY = datetime.now(timezone.utc)


def _read(documents: list[dict[str, Any]], user: str) -> Any:
    collection = connect(f"mongomock://{secrets.token_hex(8)}")["d"]["analytics"]
    collection.insert_many([dict(document) for document in documents])
    return read_user(collection, user)


def test_a_user_is_shown_as_stored(documents: list[dict[str, Any]]) -> None:
    """The worked example's figures, from the documents of the pattern user alone."""
    results = _read(documents, str(PATTERN_USER_ID))
    assert set(results) == {("steps", name) for name in ("7day", "30day", "90day")}
    week = results["steps", "7day"]
    assert week.average == pytest.approx(9771.43, abs=0.01)
    assert (week.trend, week.streak_days, week.longest_streak) == ("up", 7, 7)
    assert week.percentile == pytest.approx(23.08, abs=0.01)
    assert week.anomaly_severity == "high"
    assert week.completeness == 100
    assert len(week.history) == 7


def test_an_unknown_user_has_no_results(documents: list[dict[str, Any]]) -> None:
    """Neither one nobody knows nor text that is no id."""
    assert _read(documents, str(ObjectId())) == {}
    assert _read(documents, "{'$gt': ''}") == {}


def test_averages_end_where_the_service_says(documents: list[dict[str, Any]]) -> None:
    """The last point of each average is the stored `rollingAverage` of its range."""
    for user in dict.fromkeys(str(document["userId"]) for document in documents):
        results = _read(documents, user)
        for metric in {metric for metric, _ in results}:
            frame = daily_frame(results[metric, "90day"].history, metric)
            for days in (7, 30):
                shown = frame[f"average_{days}"].iloc[-1]
                assert shown == pytest.approx(results[metric, f"{days}day"].average, rel=1e-9)


def test_stored_anomalies_are_marked_and_computed_anew_alike(documents: list[dict[str, Any]]) -> None:
    """What the service stored is marked wherever it lies; the page's formulas find nothing later."""
    compared = 0
    for user in dict.fromkeys(str(document["userId"]) for document in documents):
        results = _read(documents, user)
        for metric in {metric for metric, _ in results}:
            history = results[metric, "90day"].history
            stored = stored_anomalies(results, metric)
            frame = daily_frame(history, metric, stored)
            assert {day.date() for day in frame.loc[frame["is_stored"], "day"]} == stored
            assert not (frame["is_stored"] & frame["is_recomputed"]).any()
            alone = daily_frame(history, metric)
            known_from = history.index[-1] - pd.Timedelta(days=59)
            found = {day.date() for day in alone.loc[alone["is_recomputed"], "day"]}
            assert max(found, default=None) == max(
                (day for day in stored if pd.Timestamp(day) >= known_from), default=None
            )
            compared += len(found)
    assert compared > 5


def test_a_newcomer_has_anomalies_and_averages_too(documents: list[dict[str, Any]]) -> None:
    """The 18 000 of the worked example, on its 13th day, lies above the usual range of that day."""
    results = _read(documents, str(PATTERN_USER_ID))
    frame = daily_frame(results["steps", "90day"].history, "steps", stored_anomalies(results, "steps"))
    (day,) = frame.loc[frame["is_stored"]].to_dict("records")
    assert (day["value"], day["low"], day["high"]) == (
        18_000,
        pytest.approx(8500 - 2 * 836.66, abs=0.01),
        pytest.approx(8500 + 2 * 836.66, abs=0.01),
    )
    assert frame["average_7"].notna().all()


def test_what_needs_older_days_is_not_drawn() -> None:
    """Of 90 days the first 30 have no usual range, the first 6 no 7-day average: there are no older ones."""
    days = pd.date_range("2026-01-01", periods=90)
    values = pd.Series([100.0 + number % 7 for number in range(90)], index=days)
    frame = daily_frame(values, "calories")
    assert list(frame["low"].notna()) == [False] * 30 + [True] * 60
    assert list(frame["average_7"].notna()) == [False] * 6 + [True] * 84
    assert list(frame["average_30"].notna()) == [False] * 29 + [True] * 61


def test_the_unusual_days_of_a_user_are_those_stored(documents: list[dict[str, Any]]) -> None:
    """One for each metric and day, with its numbers; without numbers it is none."""
    results = _read(documents, str(PATTERN_USER_ID))
    (found,) = unusual_of(results, "someone")
    assert (found.user, found.metric, found.value, found.usual) == ("someone", "steps", 18_000, 8500)
    details = {"detectedAt": _TODAY, "actualValue": "much"}
    other = {"userId": PATTERN_USER_ID, "metricType": "steps", "timeRange": "90day"}
    assert (
        unusual_of(_read([{**other, "analytics": {"anomalyDetails": details}}], str(PATTERN_USER_ID)), "")
        == []
    )


def test_the_calendar_has_every_day(documents: list[dict[str, Any]]) -> None:
    """Days without a value are there too, and the run at its end is the stored streak."""
    steps = _read(documents, str(PATTERN_USER_ID))["steps", "90day"]
    calendar = streak_calendar(steps.history, _RULE)
    assert len(calendar) == 15
    assert list(calendar["kind"]) == ["counts"] * 7 + ["no value"] + ["counts"] * 7
    assert calendar["day"].iloc[-steps.streak_days].date() == steps.streak_start


def test_exactly_a_thousand_steps_do_not_count() -> None:
    """The service's threshold is exclusive."""
    days = pd.to_datetime([date(2026, 11, 24), date(2026, 11, 25)])
    calendar = streak_calendar(pd.Series([1000.0, 1001.0], index=days), _RULE)
    assert list(calendar["kind"]) == ["does not", "counts"]


@pytest.mark.parametrize(
    "fields",
    [
        {"analytics": None, "historicalData": None},
        {"analytics": {"rollingAverage": "many", "streakDays": float("nan"), "statistics": 5}},
        {"historicalData": [None, {"date": "x", "value": 1}, {"date": _TODAY, "value": "1"}, {}]},
        {"metricType": None, "timeRange": 9},
    ],
)
def test_documents_of_other_programs_do_no_harm(fields: dict[str, Any]) -> None:
    """Missing and wrong values are None, and an empty history draws an empty chart."""
    document = {"userId": PATTERN_USER_ID, "metricType": "steps", "timeRange": "90day", **fields}
    (result,) = _read([document], str(PATTERN_USER_ID)).values()
    assert result.average is None
    assert daily_frame(result.history, "steps").empty
    assert streak_calendar(result.history, _RULE).empty
