"""One user's analytics: at most 24 documents, found by the unique index, and what the charts draw of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final

import pandas as pd
from bson import ObjectId

from analytics.health.anomaly import BASELINE_DAYS
from analytics.health.plain import Series, baselines, mean, window
from analytics.health.schemas import LONGEST_RANGE_DAYS
from analytics.health.unusual import Unusual
from contracts.health_metrics import METRICS, StreakRule
from dashboard.data.database import AnalyticsCollection, bounded
from dashboard.data.values import day, from_document, mapping, moment, number, text, whole

UNIQUE_INDEX: Final = [("userId", 1), ("timeRange", 1), ("metricType", 1)]
# 24 by the contract; more can only be documents of another program.
_MAX_DOCUMENTS: Final = 100
ROLLING_DAYS: Final = (7, 30)
_EPOCH: Final = date(1970, 1, 1).toordinal()


def _history(points: Any) -> pd.Series:
    pairs = [
        (found, value)
        for point in (points if isinstance(points, list) else [])
        if (found := day(mapping(point).get("date")))
        and (value := number(mapping(point).get("value"))) is not None
    ]
    index = pd.to_datetime([day for day, _ in pairs], errors="coerce")
    series = pd.Series([value for _, value in pairs], index=index, dtype=float, name="value")
    series = series[series.index.notna()].sort_index()
    return series[~series.index.duplicated(keep="last")]


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
    anomaly_value: Annotated[float | None, ("analytics.anomalyDetails.actualValue", number)]
    anomaly_usual: Annotated[float | None, ("analytics.anomalyDetails.expectedValue", number)]
    anomaly_deviation: Annotated[float | None, ("analytics.anomalyDetails.deviation", number)]
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


def stored_anomalies(results: UserResults, metric: str) -> set[date]:
    """The days that the service calls anomalous: of each range of `metric` the latest."""
    days = (result.anomaly_day for (name, _), result in results.items() if name == metric)
    return {day for day in days if day is not None}


def unusual_of(results: UserResults, user: str) -> list[Unusual]:
    """The stored anomalies of `user`, one for each metric and day."""
    found = {
        (result.metric, result.anomaly_day): Unusual(
            user,
            result.anomaly_day,
            result.metric,
            result.anomaly_value,
            result.anomaly_usual,
            result.anomaly_deviation,
            result.anomaly_severity,
        )
        for result in results.values()
        if result.anomaly_day is not None
        and result.anomaly_value is not None
        and result.anomaly_usual is not None
        and result.anomaly_deviation is not None
    }
    return list(found.values())


def series_of(history: pd.Series) -> Series:
    """The values by day since 1970-01-01, as the formulas take them."""
    return {stamp.toordinal() - _EPOCH: float(value) for stamp, value in history.items()}


def daily_frame(history: pd.Series, metric: str, stored: Collection[date] = ()) -> pd.DataFrame:
    """The chart's rows of the last 90 days: `day`, `value`, `average_7` and `average_30` (calendar days, as
    the service counts), `low` and `high` (the usual range of the day), `is_stored` and `is_recomputed`.

    A figure is missing where it needs days before the 90: the formulas are those of the service. The `stored`
    anomalies are marked wherever they lie; those that the service found and replaced by later ones are
    recomputed.
    """
    series = series_of(history)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("average_7", "average_30", "low", "high", "is_stored", "is_recomputed")
    }
    last = max(series, default=0)
    floor = METRICS[metric].low if metric in METRICS else 0.0
    for one in baselines(series, last - LONGEST_RANGE_DAYS + 1):
        age = last - one.day
        for days in ROLLING_DAYS:
            is_known = age + days <= LONGEST_RANGE_DAYS
            average = mean(window(series, one.day, days).values()) if is_known else None
            columns[f"average_{days}"].append(average)
        is_judged = age + BASELINE_DAYS < LONGEST_RANGE_DAYS
        low, high = (one.usual if is_judged else None) or (None, None)
        columns["low"].append(None if low is None else max(low, floor))
        columns["high"].append(high)
        is_stored = date.fromordinal(one.day + _EPOCH) in stored
        columns["is_stored"].append(is_stored)
        columns["is_recomputed"].append(is_judged and one.severity is not None and not is_stored)
    shown = history[history.index > history.index.max() - pd.Timedelta(days=LONGEST_RANGE_DAYS)]
    frame = pd.DataFrame({"day": shown.index, "value": shown.to_numpy(), **columns})
    numbers = dict.fromkeys(("average_7", "average_30", "low", "high"), float)
    return frame.astype({**numbers, "is_stored": bool, "is_recomputed": bool})


def streak_calendar(history: pd.Series, rule: StreakRule) -> pd.DataFrame:
    """One row per calendar day of a history: `day`, `value` and `kind`.

    `kind` is `counts` (by `rule`), `does not` or `no value`.
    """
    if history.empty:
        return pd.DataFrame({"day": [], "value": [], "kind": []})
    days = history.asfreq("D")
    kind = rule.holds(days).map({True: "counts", False: "does not"}).where(days.notna(), "no value")
    return pd.DataFrame({"day": days.index, "value": days.to_numpy(), "kind": kind.to_numpy()})
