"""User: one person's values with rolling averages, trend, streak, percentile and anomalies."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from contracts.health import METRICS
from dashboard import charts, frame
from dashboard.data.health_data import HealthData
from dashboard.data.recent import Recent
from dashboard.data.user import Result, UserResults, daily_frame, streak_calendar
from dashboard.health.names import RANGES, SEVERITIES, TRENDS, metric_name, unit
from dashboard.health.tables import standstill
from dashboard.text import NBSP, ago, day_text, figure, plain, signed

_OFFERED_USERS = 200
# Values that never come near zero are drawn from their own minimum.
_OWN_SCALE = ("weight", "sleepHours")


def render(data: HealthData) -> None:
    """Draw the page."""
    frame.heading("User", "What the service computed for one person.")
    standstill(data)
    recent = data.recent()
    user = _choose(recent.value)
    if user is None:
        frame.age("Results from MongoDB", recent)
        if recent.value is not None and not recent.value.documents:
            frame.empty_collection()
        return
    results = frame.age("Results from MongoDB", data.user(user))
    if results is None:
        return
    metrics = [metric for metric in METRICS if (metric, "90day") in results]
    if not metrics:
        frame.hint(
            f"There are no analytics for {plain(user)}. An id has 24 hexadecimal digits; analytics of people "
            "without new values expire after 90 days."
        )
        return
    newest = max((result.calculated for result in results.values() if result.calculated), default=None)
    if newest and recent.value:
        st.markdown(f"Calculated {ago(newest, recent.value.now)}. User {plain(user)}.")
    metric = st.selectbox(
        "Metric", metrics, format_func=metric_name, width=220, key="metric", bind="query-params"
    )
    _metric(results, metric)
    _streak(results)
    _summary(results, metrics)


def _choose(recent: Recent | None) -> str | None:
    """Let a person choose a user: the id in the address, one typed in, or one of those calculated last."""
    chosen = st.selectbox(
        "User id: choose one of those calculated last, or type any other",
        recent.users()[:_OFFERED_USERS] if recent else [],
        accept_new_options=True,
        placeholder="24 hexadecimal digits",
        key="user",
        bind="query-params",
    )
    return chosen.strip() or None if chosen else None


def _metric(results: UserResults, metric: str) -> None:
    frame.section(metric_name(metric))
    time_range = st.segmented_control(
        "Range", list(RANGES), default="7day", required=True, format_func=RANGES.__getitem__, key="range"
    )
    result = results.get((metric, time_range or "7day"))
    if result is not None:
        _figures(result)
    latest = results[metric, "90day"]
    if latest.history.empty:
        st.markdown("There are no values in the last 90 days.")
        return
    values = daily_frame(latest.history, latest.anomaly_day)
    frame.chart(
        charts.daily_values(values, unit(metric), metric not in _OWN_SCALE),
        _described(values, metric),
        _value_table(values, metric),
    )
    if latest.anomaly_day is not None:
        severity = plain(SEVERITIES.get(latest.anomaly_severity, latest.anomaly_severity))
        st.markdown(f"**Latest anomaly** ({severity}): {plain(latest.anomaly_message)}")
    st.markdown(
        "Averages are over calendar days and begin when their window is full. Earlier anomalies are marked "
        "from the 31st day of the chart on, because each needs the 30 days before it."
    )


def _figures(result: Result) -> None:
    name = unit(result.metric)
    frame.figures(
        {
            "Average": (figure(result.average, name), "Mean of the range's values."),
            "Trend": (_trend(result), "Against the same time before."),
            "Percentile": (
                figure(result.percentile),
                "How many of the 90 days' other values are below the latest one, in percent.",
            ),
            "Lowest": (figure(result.minimum), None),
            "Median": (figure(result.median), None),
            "Highest": (figure(result.maximum), None),
            "Days": (figure(result.completeness, "%", 0), "Days of the range that have a value."),
        }
    )


def _trend(result: Result) -> str:
    return f"{TRENDS.get(result.trend, result.trend)}{NBSP}{signed(result.trend_percentage)}"


def _described(values: pd.DataFrame, metric: str) -> str:
    marked = [day_text(day) for day in values.loc[values["is_anomaly"], "day"]]
    latest = values.iloc[-1]
    return (
        f"{metric_name(metric)} of {len(values)} days from {day_text(values['day'].iloc[0])} to "
        f"{day_text(latest['day'])}, between {figure(values['value'].min())} and "
        f"{figure(values['value'].max(), unit(metric))}. At the end the 7-day average is "
        f"{figure(latest['average_7'])} and the 30-day average {figure(latest['average_30'])}. "
        f"Anomalies: {', '.join(marked) or 'none'}."
    )


def _value_table(values: pd.DataFrame, metric: str) -> frame.Table:
    newest_first = values.iloc[::-1]
    return {
        "Day": [day_text(day) for day in newest_first["day"]],
        f"Value ({unit(metric)})": [figure(value) for value in newest_first["value"]],
        "7-day average": [figure(value) for value in newest_first["average_7"]],
        "30-day average": [figure(value) for value in newest_first["average_30"]],
        "Anomaly": ["yes" if is_anomaly else "" for is_anomaly in newest_first["is_anomaly"]],
    }


def _streak(results: UserResults) -> None:
    steps = results.get(("steps", "90day"))
    if steps is None or steps.history.empty:
        return
    frame.section("Streak")
    frame.figures(
        {
            "Current streak": (_days(steps.streak_days), "Days in a row with more than 1000 steps."),
            "Since": (day_text(steps.streak_start), None),
            "Longest ever": (_days(steps.longest_streak), None),
        }
    )
    calendar = streak_calendar(steps.history)
    counted = int((calendar["kind"] == "counts").sum())
    rows = calendar.iloc[::-1]
    table = {
        "Day": [day_text(day) for day in rows["day"]],
        "Steps": [figure(value) for value in rows["value"]],
        "Streak": list(rows["kind"]),
    }
    frame.chart(
        charts.streak_calendar(calendar),
        f"Calendar of {len(calendar)} days: {counted} with more than 1000 steps. The current streak is "
        f"{_days(steps.streak_days)}, the longest {_days(steps.longest_streak)}.",
        table,
    )


def _summary(results: UserResults, metrics: list[str]) -> None:
    frame.section("All metrics, last 7 days")
    weeks = [results[metric, "7day"] for metric in metrics if (metric, "7day") in results]
    frame.table(
        {
            "Metric": [metric_name(week.metric) for week in weeks],
            "Average": [figure(week.average, unit(week.metric)) for week in weeks],
            "Trend": [_trend(week) for week in weeks],
            "Percentile": [figure(week.percentile) for week in weeks],
            "Anomaly": [day_text(week.anomaly_day) for week in weeks],
        },
        "All metrics of the last 7 days",
    )


def _days(count: int) -> str:
    return f"{count:,} day{'' if count == 1 else 's'}"
