"""Overview: are all results up to date, what stands out today, who waits, how batches go."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import streamlit as st

from analytics.health.unusual import Event, Unusual, events_of
from analytics.health.words import plural
from dashboard import frame
from dashboard.data.batch_logs import MAX_BATCHES, BatchLog
from dashboard.data.health_data import HealthData
from dashboard.data.recent import LOOK_AT, Recent, unusual_in
from dashboard.data.remembered import Loaded
from dashboard.data.waiting import Waiting
from dashboard.health import events, verdicts
from dashboard.health.tables import batch_table, user_link
from dashboard.text import ago, plain
from detached import detached

_SHOWN = 5
_DAYS = 14
_Figures = dict[str, tuple[str, str | None]]


def render(data: HealthData) -> None:
    """Draw the page."""
    # Both ask a server, which takes its time for each.
    waits = detached(data.waiting, "waiting")
    log, recent = data.batch_log(), data.recent()
    waiting = waits.result()
    today = data.today()
    unusual = [] if recent.value is None else unusual_in(recent.value.anomalies)
    worth_telling = events_of(unusual, data.least)[0]
    verdict = verdicts.everybody(recent.value, waiting.value)
    if recent.value is not None and recent.value.documents:
        since = recent.value.complete_since(data.timezone)
        at_least = since is not None and today < since
        verdict += f" {verdicts.standing_out(worth_telling, today, data.least, at_least)}"
    frame.heading("Overview", verdict)
    read = frame.age("Results from MongoDB", recent)
    if read is not None and not read.documents:
        frame.empty_collection()
    # Nothing yet is not none.
    is_empty = read is not None and not read.documents
    results = {} if is_empty else _result_figures(read, worth_telling, today)
    # In two rows: five tiles in one leave the last alone below.
    if results:
        frame.figures(results)
    frame.figures(_batch_figures(log.value, data.now()))
    if read is not None and read.documents:
        _stands_out(unusual, data, today)
        _waiting(waiting, read)
    _batches(log, data)


def _result_figures(recent: Recent | None, found: list[Event], today: date) -> _Figures:
    if recent is None:
        return dict.fromkeys(("People", "Newest result", "Stand out today"), ("–", None))
    return {
        "People": (
            f"{'' if recent.is_whole else '≈ '}{recent.user_count():,}",
            f"People with analytics. Above {LOOK_AT:,} documents it is estimated from documents a person.",
        ),
        "Newest result": (
            ago(recent.newest, recent.now) if recent.newest else "–",
            "When the service last calculated anything for anybody.",
        ),
        "Stand out today": (
            f"{len({one.user for one in found if one.day >= today}):,}",
            f"People with a value of today far from their usual, in the newest {LOOK_AT:,} documents.",
        ),
    }


def _batch_figures(log: BatchLog | None, now: datetime) -> _Figures:
    if log is None or log.batches.empty:
        explanation = "There is no batch log in LOG_DIRECTORY."
        return dict.fromkeys(("Batches today", "Errors today"), ("–", explanation))
    midnight = now.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    today = log.batches[log.batches["end"] >= midnight]
    at_least = "≥ " if len(today) == MAX_BATCHES else ""
    return {
        "Batches today": (f"{at_least}{len(today):,}", "Ended since midnight UTC, from the batch log."),
        "Errors today": (
            f"{at_least}{int(today['errors_count'].sum()):,}",
            "Values refused, documents not written and failures in those batches.",
        ),
    }


def _stands_out(unusual: list[Unusual], data: HealthData, today: date) -> None:
    frame.section("What stands out")
    first = today - timedelta(days=_DAYS - 1)
    shown = events.chosen([one for one in unusual if one.day >= first], data.least, "small")
    if not shown:
        st.markdown(f"Nobody stands out in the last {_DAYS} days.")
        return
    events.told(shown, data.least, today, _SHOWN)
    events.event_chart(shown)


def _waiting(waiting: Loaded[Waiting | None], recent: Recent) -> None:
    frame.section("Who waits")
    found = waiting.value
    if found is None:
        why = waiting.fault or "healthmetrics has no index on updatedAt to look it up by."
        frame.hint(f"Who waits is not known here: {plain(why)}")
        return
    scope = "" if found.complete else f" Looked at: the {found.users:,} people who changed last."
    if not found.late:
        st.markdown(f"Nobody waits for longer than 5 minutes.{_next(found)}{scope}")
        return
    named = ", ".join(str(user_link(user)) for user in found.examples)
    since = f", the oldest of {ago(found.since, recent.now)}" if found.since else ""
    st.markdown(
        f"**{plural(found.late, 'person', 'people')}** with a change that is not computed{since}: {named}"
        f"{' and others' if found.late > len(found.examples) else ''}.{_next(found)}{scope}"
    )


def _next(found: Waiting) -> str:
    if not found.next:
        return ""
    is_are = "is" if found.next == 1 else "are"
    return f" {plural(found.next, 'person', 'people')} changed just now and {is_are} next."


def _batches(log: Loaded[BatchLog], data: HealthData) -> None:
    frame.section("Latest batches")
    shown = frame.batch_log(log, data.log_directory)
    if shown is not None:
        batch_table(shown.batches.head(_SHOWN), "The latest batches")
