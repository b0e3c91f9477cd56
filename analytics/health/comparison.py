"""Whether an explained result equals the stored one, and the reasons that can be found where it does not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from analytics.health.explanation import Explanation, Judged
from analytics.health.past import name_of
from analytics.health.validation import DayRules
from analytics.health.words import plural

# Sums of the contract are exact to this share: partitions of a cluster may add in another order.
RELATIVE: Final = 1e-9
_ANOTHER_PROGRAM: Final = (
    "It was calculated by another version of the program, or written by another program: a full pass "
    "computes it anew."
)
_EPOCH: Final = date(1970, 1, 1).toordinal()
# Told by the figures beside it.
_TEXTS: Final = ("message",)


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a result (names with dots between them) whose `before` is not its `after`."""

    field: str
    before: Any
    after: Any


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Difference]:
    """The fields of `analytics` in which two results differ; of historicalData the days, as `2026-01-31`.

    None is a result that there is not. Numbers are alike to 1e-9 of the greater.
    """
    one, other = (dict(_leaves(result)) for result in (before, after))
    names = [*one, *(name for name in other if name not in one)]
    return [
        Difference(name, one.get(name), other.get(name))
        for name in names
        if not _alike(one.get(name), other.get(name))
    ]


def verdict(explanation: Explanation) -> str:
    """Whether the explained result is the stored one, as a sentence."""
    if differences(explanation.stored, explanation.computed):
        return "It is not the stored result."
    if explanation.stored is None:
        return "There is no value, and so no result."
    if explanation.late:
        changed = plural(len(explanation.late), "document")
        return f"It is equal to the stored result; {changed} changed since, without an effect on it."
    return "It is equal to the stored result."


def causes(explanation: Explanation) -> list[str]:
    """Why the explained result is not the stored one, as sentences; empty where they are equal."""
    found = differences(explanation.stored, explanation.computed)
    if not found:
        return []
    if explanation.stored is None:
        return ["No result is stored: the change waits for a batch, or was passed by."]
    calculated = explanation.calculated
    told = []
    if explanation.late:
        newest = max(one.updated for one in explanation.late if one.updated)
        documents = plural(len(explanation.late), "document")
        told.append(
            f"{documents} changed after it was calculated, the latest at {newest:%Y-%m-%d %H:%M:%S} UTC: "
            "the next batch takes what changed."
        )
    if calculated is not None and (early := _were_ahead(explanation, calculated)):
        told.append(f"{plural(len(early), 'day')} lay in the future when it was calculated, and counts now.")
    told += _other_rules(explanation)
    told += _unexplained_days(explanation)
    return told or [_ANOTHER_PROGRAM]


def _leaves(result: Mapping[str, Any] | None) -> Iterator[tuple[str, Any]]:
    if result is None:
        return
    yield from _fields(result.get("analytics"), "")
    for point in _points(result):
        yield f"{point['date']:%Y-%m-%d}", point.get("value")


def _fields(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        # None is a place that is empty, whatever could be below it.
        if value is not None:
            yield path, value
        return
    for name, below in value.items():
        if name not in _TEXTS:
            yield from _fields(below, f"{path}.{name}" if path else str(name))


def _alike(one: Any, other: Any) -> bool:
    numbers = [each for each in (one, other) if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) == 2:
        # Changes are differences of means: what is left of two near ones has their absolute precision only.
        return math.isclose(*numbers, rel_tol=RELATIVE, abs_tol=RELATIVE)
    return bool(one == other)


def _were_ahead(explanation: Explanation, calculated: datetime) -> list[Judged]:
    """The documents of days that were refused as future ones at `calculated`, and count now."""
    rules = explanation.rules
    then = DayRules.at(calculated, rules.timezone, rules.sources).last_day
    return [
        one for one in explanation.documents
        if one.value is not None and one.day is not None and one.day > then and one not in explanation.late
    ]  # fmt: skip


def _other_rules(explanation: Explanation) -> Iterator[str]:
    metadata = (explanation.stored or {}).get("metadata")
    past = metadata.get("past") if isinstance(metadata, Mapping) else None
    if isinstance(past, Mapping) and past.get("rules") != name_of(explanation.rules):
        yield "It was calculated under other rules: ANALYTICS_TIMEZONE, PHONE_SOURCES or a limit has changed."


def _unexplained_days(explanation: Explanation) -> Iterator[str]:
    """Days of the stored result whose values differ although no document of theirs is late."""
    changed = {one.day for one in explanation.late}
    gone, silent = [], []
    for point in _points(explanation.stored):
        day, name = point["date"].toordinal() - _EPOCH, f"{point['date']:%Y-%m-%d}"
        if day in changed:
            continue
        if day not in explanation.series:
            gone.append(name)
        elif not _alike(point.get("value"), explanation.series[day]):
            silent.append(name)
    if gone:
        yield (
            f"It has {_days(gone)} of which no document counts any more: deletions leave no trace in "
            "updatedAt; the next reconciliation finds them."
        )
    if silent:
        yield (
            f"It has {_days(silent)} with another value, and updatedAt is no newer: the poll cannot see such "
            "a change; a full pass finds it."
        )


def _days(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names):,} days, such as {names[-1]},"


def _points(result: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    history = (result or {}).get("historicalData")
    for point in history if isinstance(history, list) else []:
        if isinstance(point, Mapping) and isinstance(point.get("date"), datetime):
            yield point
