"""Explain these figures: how a result of one person comes about, and what one corrected day would change."""

from __future__ import annotations

from datetime import date, timedelta

import streamlit as st
from bson import ObjectId

from analytics.health.comparison import Difference, causes, differences, verdict
from analytics.health.explanation import Explanation, corrected, explain, part_of
from analytics.health.formulas import day_name, exact, formulas, short
from analytics.health.schemas import RANGES
from analytics.health.validation import DayRules
from analytics.health.words import plural
from contracts.health_metrics import METRICS
from dashboard import frame
from dashboard.data.health_data import HealthData
from dashboard.health.names import unit
from dashboard.text import plain, utc
from told import told

_EPOCH = date(1970, 1, 1)
_SHOWN = 30


def explained(data: HealthData, user: str, metric: str, time_range: str) -> None:
    """Draw a toggle and, when it is on, the explanation; where healthmetrics cannot be read, how else."""
    if not st.toggle("Explain these figures", key="explain", bind="query-params"):
        return
    if not ObjectId.is_valid(user):
        frame.hint("Only people whose id is an ObjectId have documents that a result comes of.")
        return
    loaded = data.evidence(ObjectId(user), metric, time_range)
    if loaded.value is None:
        why = loaded.fault or "The person's documents cannot be looked up here by an index."
        command = told(" ".join(("explain", user, metric, time_range)))
        frame.hint(f"{plain(why)} With the service's rights the same is told by `{command}`.")
        return
    evidence = loaded.value
    rules = DayRules.at(evidence.now, data.timezone, data.phones)
    explanation = explain(evidence.documents, metric, time_range, rules, evidence.stored)
    with st.container(border=True):
        _verdict(explanation)
        _formulas(explanation)
        _days(explanation)
        _left_out(explanation)
        if explanation.series:
            _what_if(explanation)


def _verdict(explanation: Explanation) -> None:
    st.markdown(f"**{plain(verdict(explanation))}**")
    for cause in causes(explanation):
        st.markdown(f"- {plain(cause)}")
    metadata = (explanation.stored or {}).get("metadata")
    batch = metadata.get("sparkJobId") if isinstance(metadata, dict) else None
    if explanation.calculated is not None:
        st.markdown(
            f"Written by {plain(batch or 'an unknown batch')}, from what was there at "
            f"{utc(explanation.calculated)}."
        )


def _formulas(explanation: Explanation) -> None:
    found = formulas(explanation)
    if found:
        columns = {
            "Figure": [each.figure for each in found],
            "Value": [each.value for each in found],
            "How": [each.working for each in found],
        }
        frame.table(columns, "Each figure, its value and how it is computed")


def _days(explanation: Explanation) -> None:
    late = set(map(id, explanation.late))
    entered = [
        one
        for one in explanation.documents
        if one.value is not None and one.day is not None and part_of(explanation, one.day) == "the range"
    ]
    if not entered:
        return
    with st.expander(f"The {plural(len(entered), 'day')} that entered, of {RANGES[explanation.time_range]}"):
        columns = {
            "Day": [day_name(one.day or 0) for one in entered],
            f"Value ({unit(explanation.metric)})": [short(one.value or 0.0) for one in entered],
            "Written": [utc(one.updated) if one.updated else "–" for one in entered],
            "": ["late" if id(one) in late else "" for one in entered],
        }
        frame.table(columns, "The days that entered the result")


def _left_out(explanation: Explanation) -> None:
    left_out = [one for one in explanation.documents if one.value is None]
    if not left_out:
        st.markdown(f"All {plural(len(explanation.documents), 'document')} of this person count.")
        return
    with st.expander(f"Left out: {len(left_out):,} of {plural(len(explanation.documents), 'document')}"):
        shown = left_out[:_SHOWN]
        columns = {
            "Day": ["–" if one.day is None else day_name(one.day) for one in shown],
            "Written": [utc(one.updated) if one.updated else "–" for one in shown],
            "Why": [one.reason for one in shown],
        }
        frame.table(columns, "The documents that were left out, and why")
        if len(left_out) > _SHOWN:
            st.markdown(f"The latest {_SHOWN} are shown.")


def _what_if(explanation: Explanation) -> None:
    about = METRICS[explanation.metric]
    last = _EPOCH + timedelta(days=explanation.last)
    st.markdown("**What if one day were corrected?**")
    with st.container(horizontal=True):
        day = st.date_input(
            "Day", last, max_value=_EPOCH + timedelta(days=explanation.rules.last_day), width=180
        )
        value = st.number_input(
            f"Value ({about.unit})",
            float(about.low),
            float(about.high),
            value=None,
            placeholder="type a value",
            width=220,
            key=f"correct {explanation.metric}",
        )
    if value is None or not isinstance(day, date):
        return
    after = corrected(explanation, {(day - _EPOCH).days: value})
    found = differences(explanation.computed, after)
    if not found:
        st.markdown("Nothing would change.")
        return
    columns = {
        "Field": [each.field for each in found],
        "Now": [_cell(each, each.before) for each in found],
        "Then": [_cell(each, each.after) for each in found],
    }
    frame.table(columns, "What the correction would change")


def _cell(_: Difference, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)[:10] if isinstance(value, date) else str(value)
    return exact(value)
