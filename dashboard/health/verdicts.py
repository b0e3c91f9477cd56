"""The first line of each health page: the answer to its question, in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone

from analytics.health.plain import mean, window
from analytics.health.unusual import Event, sentence
from analytics.health.words import amount, plural
from contracts.health_metrics import METRICS
from dashboard.data.batch_logs import BatchLog
from dashboard.data.metrics_file import ServiceMetrics
from dashboard.data.recent import Recent
from dashboard.data.user import Result, series_of
from dashboard.data.waiting import Waiting
from dashboard.health.events import Least, link_and_sentence
from dashboard.text import ago, day_text, plain

# More names do not fit into a sentence.
_NAMED = 3


def everybody(recent: Recent | None, waiting: Waiting | None) -> str:
    """Whether all people's results are up to date; what cannot be known is not claimed."""
    if recent is None:
        return "Nothing is known: the results could not be read."
    if not recent.documents:
        return "Nobody has results yet."
    number = recent.user_count()
    count = f"{'' if recent.is_whole else 'about '}{number:,}"
    people = "person" if number == 1 else "people"
    newest = f"newest {ago(recent.newest, recent.now)}" if recent.newest else "of unknown age"
    if waiting is None:
        return f"{count} {people} {'has' if number == 1 else 'have'} results ({newest})."
    if waiting.late:
        wait, longest = ("waits", "") if waiting.late == 1 else ("wait", "the longest ")
        time = ago(waiting.since, recent.now).removesuffix(" ago") if waiting.since else "long"
        return f"{waiting.late:,} of {count} {people} {wait} to be computed, {longest}for {time} ({newest})."
    if number == 1:
        return f"The only person is up to date ({newest})."
    return f"All {count} people are up to date ({newest})."


def standing_out(events: Sequence[Event], today: date, least: Least, at_least: bool = False) -> str:
    """How many people stand out today, and the first of them in words."""
    now = [one for one in events if one.day >= today]
    before = [one for one in events if one.day == today - timedelta(days=1)]
    bound = "At least " if at_least else ""
    if not now:
        return f"Nobody stands out today{f'; {len(before):,} did yesterday' if before else ''}."
    named = "; ".join(link_and_sentence(one, least) for one in now[:_NAMED])
    more = f"; and {len(now) - _NAMED:,} more" if len(now) > _NAMED else ""
    return f"{bound}{len(now):,} {'stands' if len(now) == 1 else 'stand'} out today: {named}{more}."


def found(new: int, old: int, days: int) -> str:
    """How many things stand out among those chosen."""
    if not new + old:
        return f"Nothing stands out in the last {plural(days, 'day')}."
    still = f"{plural(old, 'older one')} of {plural(days, 'day')} {'is' if old == 1 else 'are'} still there"
    fresh = f"{plural(new, 'unusual day')} of a person {'is' if new == 1 else 'are'} new since yesterday"
    return f"{fresh if new else 'Nothing is new since yesterday'}{f'; {still}' if old else ''}."


def person(quarter: Result, events: Sequence[Event], least: Least) -> str:
    """How a person's last 7 days compare with the 7 before, and what is unusual in them."""
    if quarter.history.empty:
        return "There are no values in the last 90 days."
    series = series_of(quarter.history)
    last = max(series)
    now = mean(window(series, last, 7).values()) or 0.0
    before = mean(window(series, last - 7, 7).values())
    about = METRICS[quarter.metric]
    compared = "the first week with values"
    if before:
        change = 100 * (now - before) / before
        compared = "as much as in the 7 days before"
        if abs(change) >= 1:
            compared = f"{abs(change):.0f}\xa0% {'more' if change > 0 else 'less'} than in the 7 days before"
    said = about.sentence(amount(now))
    first = quarter.history.index.max().date() - timedelta(days=6)
    unusual = [one for one in events if one.day >= first]
    rest = "nothing in them stands out."
    if unusual:
        rest = f"on {day_text(unusual[0].day)} this person {plain(sentence(unusual[0], least))}."
    return f"On average this person {plain(said)} a day in the last 7 days, {compared}; {rest}"


def pipeline(metrics: ServiceMetrics | None, log: BatchLog | None, now: datetime) -> str:
    """Whether the service keeps up and what it set aside today."""
    values = metrics.values if metrics else {}
    polled, waits = values.get("health_last_poll_timestamp_seconds"), values.get("health_dlq_letters") or 0
    letters = f"{plural(int(waits), 'dead letter')} {'waits' if waits == 1 else 'wait'}"
    if not polled and (log is None or log.batches.empty):
        return "The service has not run here yet."
    backlog = int(values.get("health_backlog_documents") or 0)
    keeps_up = (
        f"{plural(backlog, 'change')} {'waits' if backlog == 1 else 'wait'}" if backlog else "Nothing waits"
    )
    asked = f" (last asked {ago(datetime.fromtimestamp(polled, timezone.utc), now)})" if polled else ""
    failed = ""
    if log is not None and not log.batches.empty and log.batches["status"].iloc[0] == "failed":
        failed = " The last batch failed."
    return f"{keeps_up} to be computed{asked}; {letters if waits else 'no dead letters'}.{failed}"
