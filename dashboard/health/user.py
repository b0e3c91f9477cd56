"""User: one person's week in words and cards, values with the usual range, what stands out, the streak."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from analytics.health.schemas import LONGEST_RANGE_DAYS
from analytics.health.schemas import RANGES as DAYS
from analytics.health.unusual import events_of
from analytics.health.words import plural
from contracts.health_metrics import METRICS
from dashboard import frame
from dashboard.data.health_data import HealthData
from dashboard.data.recent import Recent
from dashboard.data.user import (
    Result,
    UserResults,
    daily_frame,
    stored_anomalies,
    streak_calendar,
    unusual_of,
)
from dashboard.health import events, person_charts, verdicts
from dashboard.health.explain_view import explained
from dashboard.health.names import RANGES, TRENDS, metric_name, unit
from dashboard.health.person_cards import cards, week_against_week
from dashboard.text import NBSP, ago, day_text, figure, plain, signed

_OFFERED_USERS = 200
# Its values hardly come near zero, although they may; as those of weight, it is drawn from their own minimum.
_OWN_SCALE = ("sleepHours",)
_EVENTS_SHOWN = 10


def render(data: HealthData) -> None:
    """Draw the page."""
    head = st.container()
    recent = data.recent()
    user = _choose(recent.value)
    loaded = data.user(user) if user else None
    results = loaded.value if loaded else None
    metrics = [metric for metric in METRICS if (metric, "90day") in (results or {})]
    today = data.today()
    with head:
        frame.heading("User", _verdict(data, user, results, metrics))
    if user is None or loaded is None:
        frame.age("Results from MongoDB", recent)
        if recent.value is not None and not recent.value.documents:
            frame.empty_collection()
        return
    if frame.age("Results from MongoDB", loaded) is None or results is None:
        return
    if not metrics:
        frame.hint(
            f"There are no analytics for {plain(user)}. An id has 24 hexadecimal digits; analytics of people "
            "without new values expire after 90 days."
        )
        return
    newest = max((result.calculated for result in results.values() if result.calculated), default=None)
    if newest and recent.value:
        st.markdown(f"Calculated {ago(newest, recent.value.now)}. User {plain(user)}.")
    frame.section("Last 7 days")
    cards(results, metrics, data.least)
    frame.section("What stands out")
    shown = events.chosen(unusual_of(results, user), data.least, "small")
    events.told(shown, data.least, today, _EVENTS_SHOWN, with_user=False)
    if not shown:
        st.markdown("Nothing in the last 90 days.")
    _metric(data, user, results, metrics)
    _streak(results)
    week_against_week(results, metrics)


def _verdict(data: HealthData, user: str | None, results: UserResults | None, metrics: list[str]) -> str:
    if user is None:
        everybody = data.recent().value
        if everybody is not None and not everybody.documents:
            return verdicts.everybody(everybody, None)
        return "Choose a person: one of those calculated last, or any other by id."
    if results is None:
        return "Nothing is known: the results could not be read."
    if not metrics:
        return "Nobody with this id has results."
    found = events_of(unusual_of(results, user), data.least)[0]
    return verdicts.person(results[metrics[0], "90day"], found, data.least)


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


def _metric(data: HealthData, user: str, results: UserResults, metrics: list[str]) -> None:
    frame.section("Day by day")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        metric = st.selectbox(
            "Metric", metrics, format_func=metric_name, width=220, key="metric", bind="query-params"
        )
        time_range = st.segmented_control(
            "Range", list(RANGES), default="30day", required=True, format_func=RANGES.__getitem__, key="range"
        )
    chosen = time_range or "30day"
    result = results.get((metric, chosen))
    if result is not None:
        _figures(result)
    latest = results[metric, "90day"]
    if latest.history.empty:
        st.markdown("There are no values in the last 90 days.")
        return
    values = daily_frame(latest.history, metric, stored_anomalies(results, metric))
    first = values["day"].max() - pd.Timedelta(days=DAYS[chosen] - 1)
    values = values[values["day"] >= first].reset_index(drop=True)
    st.markdown(person_charts.legend(values))
    from_zero = METRICS[metric].low == 0 and metric not in _OWN_SCALE
    frame.chart(
        person_charts.daily_values(values, unit(metric), from_zero),
        _described(values, metric),
        _value_table(values, metric),
    )
    st.markdown(
        ":small[The usual range of a day is the mean of its 30 days before, two standard deviations up and "
        "down. ◆ is an anomaly that the service keeps, ◇ an earlier one by the same formulas. What needs "
        f"days before the last {LONGEST_RANGE_DAYS} is not drawn.]"
    )
    explained(data, user, metric, chosen)


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
            "Days with data": (figure(result.completeness, "%", 0), "Days of the range that have a value."),
        }
    )
    frame.figures(
        {
            "Lowest": (figure(result.minimum, name), None),
            "Median": (figure(result.median, name), None),
            "Highest": (figure(result.maximum, name), None),
        }
    )


def _trend(result: Result) -> str:
    return f"{TRENDS.get(result.trend, result.trend)}{NBSP}{signed(result.trend_percentage)}"


def _described(values: pd.DataFrame, metric: str) -> str:
    marked = [day_text(day) for day in values.loc[values["is_stored"] | values["is_recomputed"], "day"]]
    latest = values.iloc[-1]
    usual = ""
    if pd.notna(latest["low"]):
        usual = f" Usual on that day are {figure(latest['low'])} to {figure(latest['high'])}."
    return (
        f"{metric_name(metric)} of {plural(len(values), 'day')} from {day_text(values['day'].iloc[0])} to "
        f"{day_text(latest['day'])}, between {figure(values['value'].min())} and "
        f"{figure(values['value'].max(), unit(metric))}. At the end the 7-day average is "
        f"{figure(latest['average_7'])} and the 30-day average {figure(latest['average_30'])}.{usual} "
        f"Anomalies: {', '.join(marked) or 'none'}."
    )


def _value_table(values: pd.DataFrame, metric: str) -> frame.Table:
    newest_first = values.iloc[::-1]
    kinds = zip(newest_first["is_stored"], newest_first["is_recomputed"], strict=True)
    return {
        "Day": [day_text(day) for day in newest_first["day"]],
        f"Value ({unit(metric)})": [figure(value) for value in newest_first["value"]],
        "Usual": [
            "–" if pd.isna(low) else f"{figure(low)} to {figure(high)}"
            for low, high in zip(newest_first["low"], newest_first["high"], strict=True)
        ],
        "7-day average": [figure(value) for value in newest_first["average_7"]],
        "30-day average": [figure(value) for value in newest_first["average_30"]],
        "Anomaly": ["yes" if stored else "earlier" if other else "" for stored, other in kinds],
    }


def _streak(results: UserResults) -> None:
    known = [result for (_, span), result in results.items() if span == "90day" and not result.history.empty]
    found = {result.metric: result for result in known}
    streaks = [name for name in METRICS if name in found and METRICS[name].streak]
    for name in streaks:
        _one_streak(found[name], "Streak" if len(streaks) == 1 else f"Streak of {metric_name(name).lower()}")


def _one_streak(result: Result, heading: str) -> None:
    about = METRICS[result.metric]
    if about.streak is None:
        return
    rule = about.streak.words(about.unit)
    frame.section(heading)
    frame.figures(
        {
            "Current streak": (plural(result.streak_days, "day"), f"Days in a row with {rule}."),
            "Since": (day_text(result.streak_start), None),
            "Longest ever": (plural(result.longest_streak, "day"), None),
        }
    )
    calendar = streak_calendar(result.history, about.streak)
    counted = int((calendar["kind"] == "counts").sum())
    rows = calendar.iloc[::-1]
    table = {
        "Day": [day_text(day) for day in rows["day"]],
        about.label: [figure(value) for value in rows["value"]],
        "Streak": list(rows["kind"]),
    }
    frame.chart(
        person_charts.streak_calendar(calendar, about.label),
        f"Calendar of {plural(len(calendar), 'day')}: {counted} with {rule}. The current "
        f"streak is {plural(result.streak_days, 'day')}, the longest {plural(result.longest_streak, 'day')}.",
        table,
    )
