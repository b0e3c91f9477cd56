"""One user's results and the series that the charts draw of them."""

from __future__ import annotations

import secrets
from datetime import date, datetime, timezone
from typing import Any

import pandas as pd
import pytest
from bson import ObjectId

from dashboard.data.user import daily_frame, read_user, streak_calendar
from simulation.health.population import PATTERN_USER_ID
from sources.mongo_client import connect

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
            history = results[metric, "90day"].history
            frame = daily_frame(history)
            begun = (history.index[-1] - history.index[0]).days
            for days in (7, 30):
                shown = frame[f"average_{days}"].iloc[-1]
                if begun >= days - 1:
                    assert shown == pytest.approx(results[metric, f"{days}day"].average, rel=1e-9)
                else:
                    assert pd.isna(shown)


def test_anomalies_are_marked_where_the_service_finds_them(documents: list[dict[str, Any]]) -> None:
    """The last mark is the latest anomaly of the document; also computed anew, where the chart can tell."""
    compared = known_by_the_document_alone = 0
    for user in dict.fromkeys(str(document["userId"]) for document in documents):
        results = _read(documents, user)
        for metric in {metric for metric, _ in results}:
            stored = results[metric, "90day"]
            marked, computed = (_last_mark(stored.history, latest) for latest in (stored.anomaly_day, None))
            assert marked == stored.anomaly_day
            known_by_the_document_alone += computed != marked
            known_from = stored.history.index[0] + pd.Timedelta(days=30)
            if stored.anomaly_day is None or pd.Timestamp(stored.anomaly_day) >= known_from:
                compared += stored.anomaly_day is not None
                assert computed == stored.anomaly_day
    assert compared > 5
    assert known_by_the_document_alone > 0


def _last_mark(history: pd.Series, latest: date | None) -> date | None:
    frame = daily_frame(history, latest)
    return max((day.date() for day in frame.loc[frame["is_anomaly"], "day"]), default=None)


def test_the_calendar_has_every_day(documents: list[dict[str, Any]]) -> None:
    """Days without a value are there too, and the run at its end is the stored streak."""
    steps = _read(documents, str(PATTERN_USER_ID))["steps", "90day"]
    calendar = streak_calendar(steps.history)
    assert len(calendar) == 15
    assert list(calendar["kind"]) == ["counts"] * 7 + ["no value"] + ["counts"] * 7
    assert calendar["day"].iloc[-steps.streak_days].date() == steps.streak_start


def test_exactly_a_thousand_steps_are_too_few() -> None:
    """The service's threshold is exclusive."""
    days = pd.to_datetime([date(2026, 11, 24), date(2026, 11, 25)])
    calendar = streak_calendar(pd.Series([1000.0, 1001.0], index=days))
    assert list(calendar["kind"]) == ["too few", "counts"]


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
    assert daily_frame(result.history).empty
    assert streak_calendar(result.history).empty
