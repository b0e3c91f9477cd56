"""A person's weekly letter in words: what the week was beside the one before, without goals or judgement."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from analytics.health.documents import midnight
from analytics.health.unusual import events_of, sentence
from analytics.health.week import WEEK_DAYS, MetricWeek, Week
from analytics.health.words import amount, listed, plural, with_unit
from contracts.effects import LeastEffect
from contracts.health_metrics import METRICS
from monitoring.report.chart import sparkline
from monitoring.report.page import Card, cards, lead, note, points, section, write_page

# It is about one person.
_MODE = 0o600
# So that a page of A4 is enough.
_EVENTS, _PARTLY, _REFUSED = 5, 5, 3
# What follows the first of them stands for the others too.
_DIRECTIONS = {"more": ("Higher", "than"), "less": ("Lower", "than"), "the same": ("About the same", "as")}
_STYLE = """
@page { size:A4; margin:12mm }
@media print { :root { --ink:#1b2430; --soft:#556070; --paper:#fff; --card:#fff; --line:#2563eb; --rule:#ccc }
  html { font-size:11.5px } body { max-width:none; padding:0; font-size:1rem; line-height:1.35 }
  section { padding:6px 12px; margin:7px 0 } .cards { grid-template-columns:1fr 1fr; gap:8px 24px }
  .card svg { height:34px; display:block } .card p { margin:0 } }
"""


def write_week(path: Path, week: Week, least: Mapping[str, LeastEffect], timezone: str) -> Path:
    """Write the letter of `week` to `path` and return it; days are those of `timezone`. Raises OSError."""
    first, last = week.days[0], week.days[-1]
    about = f"From {_day(first)} to {_day(last, with_year=True)}, beside the seven days before."
    body = [lead(_first_sentence(week, least)), *_sections(week, least)]
    zone = "" if timezone == "UTC" else f" ({timezone})"
    reading = (
        "Each line is of fourteen days; the larger dots are this week's. "
        "A figure is the mean of the days with a value. "
    )
    body.append(note(f"{reading if week.told else ''}Days are calendar days{zone}. Person {week.user}."))
    return write_page(path, "Your week", about, body, _STYLE, _MODE)


def _first_sentence(week: Week, least: Mapping[str, LeastEffect]) -> str:
    if week.newest is None:
        return f"There is no data up to {_day(week.last, with_year=True)}."
    if not week.told:
        return f"There is no data of these two weeks; the newest is of {_day(week.newest, with_year=True)}."
    parts: list[str] = []
    for direction, (words, joined) in _DIRECTIONS.items():
        names = [_label(one) for one in week.told if one.direction(least[one.metric]) == direction]
        if names:
            parts.append(f"{words}{'' if parts else f' {joined} the week before'}: {listed(names)}.")
    compared = " ".join(parts) or "There is nothing to compare with the week before."
    filled = WEEK_DAYS - len(week.empty_days)
    return f"{compared} There is data on {filled} of {WEEK_DAYS} days."


def _sections(week: Week, least: Mapping[str, LeastEffect]) -> Iterator[str]:
    if not week.told:
        return
    yield cards(_card(one, least[one.metric]) for one in week.told)
    yield section("What stood out", _events(week, least))
    runs = [_run(one) for one in week.metrics.values() if one.series and METRICS[one.metric].streak]
    if runs:
        yield section("Days in a row", "".join(note(run) for run in runs))
    yield section("What is missing", points(_missing(week)))


def _card(one: MetricWeek, least: LeastEffect) -> Card:
    about = METRICS[one.metric]
    days = len(one.values)
    known = f"average of {days} of {WEEK_DAYS} days" if days else "no values this week"
    figure = "–" if one.now is None else with_unit(one.now, one.metric)
    shown = [(float(day), value) for day, value in one.series.items() if day > one.last - 2 * WEEK_DAYS]
    span = (float(one.last - 2 * WEEK_DAYS + 1), float(one.last))
    low, high = min(value for _, value in shown), max(value for _, value in shown)
    name = (
        f"{about.label}: {plural(len(shown), 'value')} of two weeks, between {amount(low)} and "
        f"{with_unit(high, one.metric)}"
    )
    chart = sparkline(name, shown, span, float(one.last - WEEK_DAYS + 1))
    return Card(about.label, figure, known, chart, _compared(one, least))


def _compared(one: MetricWeek, least: LeastEffect) -> str:
    """`1,021 steps more than the week before (8,750 steps); from 8,200 to 18,000.`"""
    values = one.values.values()
    spread = ""
    if len(values) > 1 and min(values) < max(values):
        spread = f"; from {amount(min(values))} to {with_unit(max(values), one.metric)}"
    if one.before is None:
        return f"The week before has no values{spread}."
    before = with_unit(one.before, one.metric)
    if one.now is None:
        return f"{before} the week before."
    direction = one.direction(least)
    if direction == "the same":
        return f"About the same as the week before ({before}){spread}."
    difference = with_unit(abs(one.now - one.before), one.metric)
    return f"{difference} {direction} than the week before ({before}){spread}."


def _events(week: Week, least: Mapping[str, LeastEffect]) -> str:
    found, _ = events_of(week.unusual, least)
    if not week.is_judged:
        return note("What is usual is not known: that takes five earlier days with different values.")
    if not found:
        return note("No day was far from what is usual.")
    told = [f"{each.day:%A, %d %B}: {sentence(each, least)}." for each in found[:_EVENTS]]
    more = len(found) - len(told)
    left = f"And {plural(more, 'more day')}. " if more else ""
    return points(told) + note(f"{left}Usual is the mean of the 30 days before.")


def _run(week: MetricWeek) -> str:
    about = METRICS[week.metric]
    what = f"with {about.streak.words(about.unit)}" if about.streak else ""
    longest = f"the longest so far is {plural(week.longest_run, 'day')}"
    if week.run is None:
        return f"No day of this week goes on with a row of days {what}; {longest}."
    ends = (
        f"up to {_day(week.run.end)}" if week.run.end == week.last else f"which ended on {_day(week.run.end)}"
    )
    return f"{plural(week.run.length, 'day')} {what}, {ends}; {longest}."


def _missing(week: Week) -> Iterator[str]:
    """The days without anything, the metrics that are there on some of the other days, and refused values."""
    if len(week.empty_days) == WEEK_DAYS:
        yield "All data of this week."
    elif week.empty_days:
        yield f"All data of {_days(week.empty_days)}."
    partly: dict[tuple[int, ...], list[str]] = {}
    refused: dict[tuple[int, str], list[str]] = {}
    for one in week.metrics.values():
        why = {each.day: each.reason for each in one.refused if each.day not in one.values}
        gone = {*one.values, *week.empty_days, *why}
        # Who steps on the scales once a week misses nothing on the other days.
        if one.is_daily and (absent := tuple(day for day in week.days if day not in gone)):
            partly.setdefault(absent, []).append(_label(one))
        for day, reason in why.items():
            refused.setdefault((day or 0, reason), []).append(_label(one))
    lines = [f"{_first_upper(listed(names))} of {_days(absent)}." for absent, names in partly.items()]
    yield from _first(lines, _PARTLY, "gap")
    yield from _first(
        [
            f"Not counted: {listed(names)} of {_day(day)}, because {reason}."
            for (day, reason), names in sorted(refused.items())
        ],
        _REFUSED,
        "refused value",
    )
    if not (week.empty_days or partly or refused):
        yield "Nothing."


def _first(lines: Sequence[str], most: int, rest: str) -> list[str]:
    """The first `most` of `lines`, and how many of the `rest` there are."""
    more = len(lines) - most
    return [*lines[:most], f"And {plural(more, f'more {rest}')}."] if more > 0 else [*lines]


def _label(one: MetricWeek) -> str:
    return METRICS[one.metric].label.lower()


def _first_upper(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _days(days: Sequence[int] | Iterable[int]) -> str:
    return listed([_day(day) for day in days])


def _day(day: int, with_year: bool = False) -> str:
    moment: date = midnight(day).date()
    return f"{moment.day} {moment:%B %Y}" if with_year else f"{moment.day} {moment:%B}"
