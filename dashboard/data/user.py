"""One user's analytics: at most 24 documents, found by the unique index, and what the charts draw of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final

import pandas as pd
from bson import ObjectId

from analytics.health.anomaly import BASELINE_DAYS, FLAT, MINIMUM_VALUES, SIGMAS
from analytics.health.schemas import RELATIVE_TOLERANCE
from analytics.health.streak import STEPS_THRESHOLD
from dashboard.data.database import AnalyticsCollection, bounded
from dashboard.data.values import day, from_document, mapping, moment, number, text, whole

UNIQUE_INDEX: Final = [("userId", 1), ("timeRange", 1), ("metricType", 1)]
# 24 by the contract; more can only be documents of another program.
_MAX_DOCUMENTS: Final = 100
ROLLING_DAYS: Final = (7, 30)


def _history(points: Any) -> pd.Series:
    pairs = [
        (found, value)
        for point in (points if isinstance(points, list) else [])
        if (found := day(mapping(point).get("date")))
        and (value := number(mapping(point).get("value"))) is not None
    ]
    index = pd.to_datetime([day for day, _ in pairs], errors="coerce")
    series = pd.Series([value for _, value in pairs], index=index, dtype=float, name="value")
    return series[series.index.notna()].sort_index()


@dataclass(frozen=True)
class Result:
    """The result of one metric and range; missing or unusable numbers are None.

    `history` is a series of values by day (midnight, without a zone), the oldest first.
    """

    metric: Annotated[str, ("metricType", text)]
    time_range: Annotated[str, ("timeRange", text)]
    calculated: Annotated[datetime | None, ("calculatedAt", moment)]
    average: Annotated[float | None, ("analytics.rollingAverage", number)]
    trend: Annotated[str, ("analytics.trend", text)]
    trend_percentage: Annotated[float | None, ("analytics.trendPercentage", number)]
    percentile: Annotated[float | None, ("analytics.percentile", number)]
    streak_days: Annotated[int, ("analytics.streakDays", whole)]
    longest_streak: Annotated[int, ("analytics.longestStreak", whole)]
    streak_start: Annotated[date | None, ("analytics.streakStartDate", day)]
    minimum: Annotated[float | None, ("analytics.statistics.minValue", number)]
    maximum: Annotated[float | None, ("analytics.statistics.maxValue", number)]
    median: Annotated[float | None, ("analytics.statistics.medianValue", number)]
    completeness: Annotated[float | None, ("analytics.statistics.completenessPercentage", number)]
    anomaly_day: Annotated[date | None, ("analytics.anomalyDetails.detectedAt", day)]
    anomaly_severity: Annotated[str, ("analytics.anomalyDetails.severity", text)]
    anomaly_message: Annotated[str, ("analytics.anomalyDetails.message", text)]
    history: Annotated[pd.Series, ("historicalData", _history)]


UserResults = Mapping[tuple[str, str], Result]


def read_user(collection: AnalyticsCollection, user: str) -> UserResults:
    """The results of `user` by (metric, time range), empty for an unknown one; raises pymongo's errors.

    Ids are ObjectIds; what cannot be one is looked up as text, as other programs may have stored it.
    """
    key = ObjectId(user) if ObjectId.is_valid(user) else user
    with bounded(collection):
        found = collection.find({"userId": key}).hint(UNIQUE_INDEX).limit(_MAX_DOCUMENTS)
        results = [from_document(Result, document) for document in found]
    return {(result.metric, result.time_range): result for result in results}


def daily_frame(history: pd.Series, latest: date | None = None) -> pd.DataFrame:
    """The chart's rows: `day`, `value`, `average_7`, `average_30` (calendar days, as the service counts) and
    `is_anomaly`.

    An average is missing where its window begins before the history does, and so is the judgement on a day
    whose 30 days before are not all known: the formulas are those of the service, see `analytics/`. The
    `latest` anomaly is marked wherever it lies, because the service has found it.
    """
    frame = pd.DataFrame({"day": history.index, "value": history.to_numpy()})
    if history.empty:
        return frame.assign(average_7=[], average_30=[], is_anomaly=[])
    first = history.index[0]
    for days in ROLLING_DAYS:
        rolling = history.rolling(f"{days}D").mean()
        begun = history.index >= first + pd.Timedelta(days=days - 1)
        frame[f"average_{days}"] = rolling.where(begun).to_numpy()
    before = history.rolling(f"{BASELINE_DAYS}D", closed="left", min_periods=MINIMUM_VALUES)
    mean, sigma = before.mean(), before.std()
    is_anomaly = (sigma > FLAT * mean.abs().clip(lower=1.0)) & (
        (history - mean).abs() > SIGMAS * (1 + RELATIVE_TOLERANCE) * sigma
    )
    known = history.index >= first + pd.Timedelta(days=BASELINE_DAYS)
    frame["is_anomaly"] = (is_anomaly & known).to_numpy() | (history.index == pd.Timestamp(latest))
    return frame


def streak_calendar(history: pd.Series) -> pd.DataFrame:
    """One row per calendar day of a steps history: `day`, `value` and `kind`.

    `kind` is `counts` (more than 1000 steps), `too few` or `no value`.
    """
    if history.empty:
        return pd.DataFrame({"day": [], "value": [], "kind": []})
    days = history.asfreq("D")
    kind = (days > STEPS_THRESHOLD).map({True: "counts", False: "too few"}).where(days.notna(), "no value")
    return pd.DataFrame({"day": days.index, "value": days.to_numpy(), "kind": kind.to_numpy()})
