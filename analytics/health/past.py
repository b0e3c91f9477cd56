"""What the older days of a user leave for later results, so that these need not be read again.

A result looks back 180 days from the last day of its metric; only a streak may be longer. So a user's days
before a horizon can be put into a few numbers, which are stored beside his results and hold until a document
of those days changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analytics.health.basis import Fingerprint, fingerprint_of
from analytics.health.documents import midnight
from analytics.health.schemas import LONGEST_RANGE_DAYS
from analytics.health.validation import DayRules
from contracts.health_metrics import METRICS, StreakRule

# Raise it when a document is judged in another way, or a streak.
_VERSION: Final = 2
# The previous 90 days end where the last 90 days begin; anomalies look back less.
_LOOKS_BACK: Final = 2 * LONGEST_RANGE_DAYS
# A horizon stays for a month: it moves in steps, and lies so far back that most corrections are after it.
_STEP_DAYS: Final = 32
_MARGIN_DAYS: Final = 30
# Days before and after all others, and the first that MongoDB's dates are read for.
EVER: Final = -1_000_000
_NEVER: Final = 10_000_000
_FIRST_DAY: Final = -719_162

_Days = npt.NDArray[np.int64]


_STORED: Final = ("before", "longest", "running", "metrics")


@dataclass(frozen=True, slots=True)
class Past:
    """The days of one user before `before` (days since 1970-01-01).

    By metric, if there is one, `longest` has the longest streak in them, `running` the streak that their
    last day ends; `metrics` are those with a value in them, and `fingerprint` is of all documents that have a
    day of them.
    """

    before: int
    longest: Mapping[str, int] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    metrics: frozenset[str] = frozenset()
    fingerprint: Fingerprint = field(default_factory=Fingerprint)

    @property
    def since(self) -> datetime | None:
        """No document dated before it is of a later day; None where all are to be read."""
        # Where a zone is ahead of UTC, a day begins on the one before.
        return None if self.before == EVER else midnight(self.before - 1)

    def stored(self, rules: str) -> dict[str, Any] | None:
        """The same for MongoDB, if there is anything; `rules` names those by which documents were judged."""
        if self.before == EVER:
            return None
        return {
            "before": midnight(self.before),
            "longest": dict(self.longest),
            "running": dict(self.running),
            "metrics": sorted(self.metrics),
            "rules": rules,
            "fingerprint": self.fingerprint.stored(),
        }


# Of a user whose whole history is read.
NOTHING: Final = Past(EVER)


def name_of(rules: DayRules) -> str:
    """The same name as long as the documents of older days are judged alike."""
    metrics = [(name, metric.low, metric.high, metric.streak) for name, metric in METRICS.items()]
    told = repr((_VERSION, rules.timezone, sorted(rules.sources), metrics))
    return blake2b(told.encode(), digest_size=8).hexdigest()


def restored(stored: Any, rules: str) -> Past:
    """The past that `stored` tells of; NOTHING where it is none, or one of other rules."""
    if not isinstance(stored, Mapping) or stored.get("rules") != rules or not {*_STORED} <= {*stored}:
        return NOTHING
    before, longest, running, metrics = (stored[name] for name in _STORED)
    fingerprint = fingerprint_of(stored.get("fingerprint"))
    if not (
        isinstance(before, datetime)
        and isinstance(metrics, list)
        and all(isinstance(name, str) and name in METRICS for name in metrics)
        and fingerprint is not None
        and _are_streaks(longest, running)
    ):
        return NOTHING
    before_day = (before - midnight(0)).days
    return Past(before_day, dict(longest), dict(running), frozenset(metrics), fingerprint)


def _are_streaks(longest: Any, running: Any) -> bool:
    if not (isinstance(longest, Mapping) and isinstance(running, Mapping)):
        return False
    lengths = [*longest.values(), *running.values()]
    return (
        {*running} <= {*longest} <= {*METRICS}
        and all(isinstance(length, int) and length > 0 for length in lengths)
        and all(length <= longest[name] for name, length in running.items())
    )


def recent(history: pa.Table, pasts: Sequence[Past]) -> pa.Table:
    """The rows of `history` (`history_schema`) whose day is no part of their user's past."""
    if all(past.before == EVER for past in pasts):
        return history
    befores = np.array([past.before for past in pasts])
    inside = history.column("day").to_numpy() >= befores[history.column("user").to_numpy()]
    return history.filter(pa.array(inside))


def uncovered(history: pa.Table, pasts: Sequence[Past]) -> list[int]:
    """The users (indices into `pasts`) of whom `history` holds too little for their results.

    `history` (`history_schema`) has each user's days from his past's `before` on.
    """
    befores = np.array([past.before for past in pasts])
    lacking = np.zeros(len(pasts), dtype=bool)
    for name, last in _last_days(history, len(pasts)).items():
        is_older = np.array([name in past.metrics for past in pasts], dtype=bool)
        lacking |= is_older & (last - _LOOKS_BACK + 1 < befores)
    return [int(user) for user in np.flatnonzero(lacking)]


def measured(history: pa.Table, pasts: Sequence[Past]) -> list[frozenset[str]]:
    """By user the metrics with a value in `history` (HISTORY_SCHEMA) or in the past."""
    lasts = _last_days(history, len(pasts))
    return [
        past.metrics | {name for name, last in lasts.items() if last[user] != EVER}
        for user, past in enumerate(pasts)
    ]


def resumed(result: pa.Table, history: pa.Table, pasts: Sequence[Past]) -> pa.Table:
    """`result` (RESULT_SCHEMA, of `history`) with the streaks that the whole histories would give."""
    if not any(past.longest for past in pasts):
        return result
    known = _History(history, len(pasts))
    users, metrics = result.column("user").to_pylist(), result.column("metric").to_pylist()
    names = ("streak_start", "streak_days", "longest_streak")
    start, days, longest = (result.column(name).to_pylist() for name in names)
    for row, (user, metric) in enumerate(zip(users, metrics, strict=True)):
        past = pasts[user]
        if metric not in past.longest:
            continue
        running = past.running.get(metric, 0)
        first = known.runs(user, metric, past)[:1] if running else []
        longest[row] = max(longest[row], past.longest[metric], *(length for _, length in first))
        if start[row] == past.before:
            start[row] -= running
            days[row] += running
    for name, values in zip(names, (start, days, longest), strict=True):
        place = result.schema.get_field_index(name)
        result = result.set_column(place, result.schema.field(place), pa.array(values, pa.int32()))
    return result


def advanced(history: pa.Table, pasts: Sequence[Past]) -> list[Past]:
    """The pasts for the next time, without new fingerprints: a horizon moves where enough days follow it."""
    lasts = _last_days(history, len(pasts))
    # The metric that has been without a value for the longest time decides, so that it stays covered.
    oldest = np.minimum.reduce([np.where(last == EVER, _NEVER, last) for last in lasts.values()])
    horizons = (oldest - _LOOKS_BACK - _MARGIN_DAYS) // _STEP_DAYS * _STEP_DAYS
    known, moved = _History(history, len(pasts)), list(pasts)
    for user, past in enumerate(pasts):
        horizon = int(horizons[user])
        if oldest[user] != _NEVER and horizon > max(past.before, _FIRST_DAY):
            moved[user] = known.before(horizon, user, past)
    return moved


class _History:
    """The days of a history by user."""

    def __init__(self, history: pa.Table, users: int) -> None:
        self._days: _Days = history.column("day").to_numpy()
        rules = {name: metric.streak for name, metric in METRICS.items() if metric.streak is not None}
        self._counts = {name: _counting(history.column(name), rule) for name, rule in rules.items()}
        self._values = {name: history.column(name).is_valid().to_numpy() for name in METRICS}
        self._bounds = np.searchsorted(history.column("user").to_numpy(), np.arange(users + 1))

    def before(self, horizon: int, user: int, past: Past) -> Past:
        """The past of `user` as it is at the later `horizon`."""
        longest, running = dict(past.longest), {}
        for metric in self._counts:
            runs = self.runs(user, metric, past, horizon)
            if lengths := [length for _, length in runs]:
                longest[metric] = max(longest.get(metric, 0), *lengths)
            if runs and runs[-1][0] == horizon - 1:
                running[metric] = runs[-1][1]
        return Past(horizon, longest, running, past.metrics | self.metrics(user, horizon))

    def runs(self, user: int, metric: str, past: Past, before: int | None = None) -> list[tuple[int, int]]:
        """The last day and the length of each streak, in order; the first may go on from `past`."""
        rows = self._rows(user, before)
        days = self._days[rows][self._counts[metric][rows]]
        if not days.size:
            return []
        ends = np.flatnonzero(np.diff(days, append=days[-1] + 2) != 1)
        lengths = np.diff(ends, prepend=-1)
        if days[0] == past.before:
            lengths[0] += past.running.get(metric, 0)
        return list(zip(days[ends].tolist(), lengths.tolist(), strict=True))

    def metrics(self, user: int, before: int) -> set[str]:
        """Those with a value on a day before `before`."""
        rows = self._rows(user, before)
        return {name for name, valid in self._values.items() if valid[rows].any()}

    def _rows(self, user: int, before: int | None) -> slice:
        first, end = self._bounds[user : user + 2]
        if before is not None:
            end = first + np.searchsorted(self._days[first:end], before)
        return slice(first, end)


def _counting(column: pa.ChunkedArray, rule: StreakRule) -> npt.NDArray[np.bool_]:
    """Which values count for a streak; NaN, a day without a value, does not."""
    with np.errstate(invalid="ignore"):
        counts: npt.NDArray[np.bool_] = rule.holds(column.to_numpy())
    return counts


def _last_days(history: pa.Table, users: int) -> dict[str, _Days]:
    """For each metric and user the last day with a value, EVER without one."""
    owners, days = history.column("user").to_numpy(), history.column("day").to_numpy()
    found = {}
    for name in METRICS:
        valid = history.column(name).is_valid().to_numpy()
        last = np.full(users, EVER)
        # Days ascend, and of several values for one place the last one stays.
        last[owners[valid]] = days[valid]
        found[name] = last
    return found
