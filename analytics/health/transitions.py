"""What is new about a person's metric: a transition from what was known to what its results say now.

Pure. Each transition has an id that is made of what it is about, so that whoever hears it twice can tell.
What is older than NEWS_DAYS is no news: it is noted and not told. So the first look at a person, or a history
that is imported, tells nothing of long ago.

| kind | told when | once for each |
|---|---|---|
| anomaly | a day is anomalous, of the severity and the effect that the catalogue asks for | day |
| anomaly_over | a later day is as usual again, or the day was corrected | its last anomalous day |
| streak | it is as long as a milestone of the catalogue | streak and milestone |
| streak_broken | one that was told has ended | streak |
| silent | no value came for the catalogue's number of days | last day with a value |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Final

from analytics.health.documents import midnight
from analytics.health.plain import Series, baseline
from analytics.health.words import amount, plural, with_unit
from contracts.effects import LeastEffect
from contracts.health_metrics import METRICS, Telling

KINDS: Final = ("anomaly", "anomaly_over", "streak", "streak_broken", "silent")
# Phones upload late; what is older than this is no news.
NEWS_DAYS: Final = 7
_SEVERITIES: Final = ("low", "medium", "high")
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Transition:
    """Something new of a user's `metric`, on a `day` (since 1970-01-01); `about` makes it the one it is."""

    kind: str
    metric: str
    about: str
    day: int
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def id(self, user: str) -> str:
        """The same one for the same transition of `user`, whenever and by whomever it is found."""
        told = f"{user} {self.metric} {self.kind} {self.about}"
        return blake2b(told.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a metric: days are counted from 1970-01-01, None where there is none.

    `noted` are the anomalous days of late, `unusual` those that are not over; `started` and `ended` are the
    first and last day of the streak that is followed, `milestone` the one that was told; `silent` is the last
    day with a value whose silence was told.
    """

    last: int | None = None
    noted: tuple[int, ...] = ()
    unusual: tuple[int, ...] = ()
    started: int | None = None
    ended: int | None = None
    milestone: int = 0
    silent: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a metric's results: the `series` of the last 90 days, and the `streak` days that end with it."""

    series: Series
    streak: int = 0

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Figures:
        """From the stored 90-day `result`; other programs may have stored anything."""
        points = result.get("historicalData")
        series = {
            point["date"].toordinal() - _EPOCH: float(point["value"])
            for point in (points if isinstance(points, list) else [])
            if isinstance(point, Mapping)
            and isinstance(point.get("date"), datetime)
            and isinstance(point.get("value"), int | float)
        }
        analytics = result.get("analytics")
        days = analytics.get("streakDays") if isinstance(analytics, Mapping) else 0
        return cls(series, days if isinstance(days, int) else 0)


def transitions(
    metric: str, figures: Figures, known: Known, today: int, least: LeastEffect
) -> tuple[list[Transition], Known]:
    """What is new of `metric` on the day `today`, and what is known then; nothing of one without rules."""
    rules = METRICS[metric].tell if metric in METRICS else Telling()
    if not figures.series:
        return [], known
    now = replace(known, last=max(figures.series))
    unusual, now = _anomalies(metric, figures, now, today, (rules, least))
    streaks, now = _streak(metric, figures, now, rules)
    silent, now = silence(metric, now, today)
    return [one for one in [*unusual, *streaks, *silent] if one.day > today - NEWS_DAYS], now


def silence(metric: str, known: Known, today: int) -> tuple[list[Transition], Known]:
    """Whether `metric` has been silent for so long that it is told on the day `today`."""
    begins = silent_from(metric, known)
    if begins is None or today < begins or known.last is None:
        return [], known
    days = begins - known.last
    message = f"no value of {_label(metric)} for {plural(days, 'day')}, the last is of {_day(known.last)}"
    told = Transition("silent", metric, str(known.last), begins, message, {"days": days})
    return [told] if begins > today - NEWS_DAYS else [], replace(known, silent=known.last)


def silent_from(metric: str, known: Known) -> int | None:
    """The day on which the silence of `metric` is to be told, unless a value comes; None for never."""
    days = METRICS[metric].tell.silent_days if metric in METRICS else None
    if days is None or known.last is None or known.silent == known.last:
        return None
    return known.last + days


def _anomalies(
    metric: str, figures: Figures, known: Known, today: int, told: tuple[Telling, LeastEffect]
) -> tuple[list[Transition], Known]:
    rules, least = told
    if rules.anomalies_from is None:
        return [], replace(known, unusual=())
    last = max(figures.series)
    days = sorted({*known.unusual, *(day for day in figures.series if day > today - NEWS_DAYS)})
    found = [one for day in days if (one := _anomaly(metric, figures.series, day, rules, least))]
    new = [one for one in found if one.day not in known.noted]
    noted = {day for day in known.noted if day > today - NEWS_DAYS} | {one.day for one in found}
    watched = {*known.unusual, *(one.day for one in new)}
    standing = sorted(watched & {one.day for one in found})
    now = replace(known, noted=tuple(sorted(noted)), unusual=tuple(standing))
    if not watched or (standing and standing[-1] == last):
        return new, now
    # Of several days in a row the end is told once.
    message = f"{_label(metric)}: {'as usual again' if standing else 'the unusual day was corrected'}"
    about, data = str(max(watched)), {"corrected": not standing}
    over = Transition("anomaly_over", metric, about, last, message, data)
    return [*new, over], replace(now, unusual=())


def _anomaly(metric: str, series: Series, day: int, rules: Telling, least: LeastEffect) -> Transition | None:
    one = baseline(series, day) if day in series else None
    if one is None or one.severity is None or one.expected is None or rules.anomalies_from is None:
        return None
    if _SEVERITIES.index(one.severity) < _SEVERITIES.index(rules.anomalies_from):
        return None
    if not least.reached(one.value, one.expected):
        return None
    data = {"value": one.value, "usual": one.expected, "deviation": one.deviation, "severity": one.severity}
    usual = with_unit(one.expected, metric)
    message = f"{METRICS[metric].sentence(amount(one.value))} on {_day(day)} (usual: {usual})"
    return Transition("anomaly", metric, str(day), day, message, data)


def _streak(metric: str, figures: Figures, known: Known, rules: Telling) -> tuple[list[Transition], Known]:
    last = max(figures.series)
    start = last - figures.streak + 1 if figures.streak else None
    found: list[Transition] = []
    began, milestone = known.started, known.milestone
    # One that grew at either end, through a day that came late, is the same.
    goes_on = began is not None and known.ended is not None and start is not None and (
        start <= known.ended and began <= last
    )  # fmt: skip
    if not goes_on:
        if began is not None and milestone:
            found.append(_broken(metric, began, milestone, last))
        began, milestone = start, 0
    if start is None or began is None:
        return found, replace(known, started=None, ended=None, milestone=0)
    reached: Sequence[int] = [days for days in rules.streaks if milestone < days <= figures.streak]
    if reached:
        milestone = max(reached)
        message = f"{plural(milestone, 'day')} in a row with {_counts(metric)}"
        data = {"days": milestone, "since": _day(start)}
        about = f"{began} {milestone}"
        found.append(Transition("streak", metric, about, start + milestone - 1, message, data))
    return found, replace(known, started=began, ended=last, milestone=milestone)


def _broken(metric: str, began: int, milestone: int, day: int) -> Transition:
    days = plural(milestone, "day")
    message = f"the row of days with {_counts(metric)} has ended; {days} had been told"
    return Transition("streak_broken", metric, str(began), day, message, {"days": milestone})


def tellable(known: Mapping[str, Known]) -> Iterator[tuple[str, int]]:
    """Each metric whose silence is to be told, and the day of that."""
    for metric, one in known.items():
        if (day := silent_from(metric, one)) is not None:
            yield metric, day


def _counts(metric: str) -> str:
    about = METRICS[metric]
    return about.streak.words(about.unit) if about.streak else _label(metric)


def _label(metric: str) -> str:
    return METRICS[metric].label.lower() if metric in METRICS else metric


def _day(day: int) -> str:
    return f"{midnight(day):%Y-%m-%d}"
