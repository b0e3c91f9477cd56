"""Plain documents (contracts.plain_documents) as days of users: which count, and which win their day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
from bson.objectid import ObjectId
from numpy.typing import NDArray

from analytics.health.past import EVER
from analytics.health.superseded import Superseded
from analytics.health.validation import DayRules, from_phone, limits, place, why_left_out
from contracts import Document
from contracts.plain_documents import Bools, Doubles, Integers, Rows, milliseconds, moment_of

# A user and a day in one integer: days are shifted to be positive, from year 1 to 9999 they need 22 bits.
DAY_BITS: Final = 22
DAY_SHIFT: Final = 719_163
_DAY: Final = timedelta(days=1) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Days:
    """Days of users: `keys` (user and day in one integer), the documents they are of, and `values` by metric.

    A value is NaN where the day has no usable one.
    """

    keys: Integers
    updated: Integers
    identities: NDArray[np.void]
    values: Sequence[Doubles]

    def where(self, chosen: Bools | Integers) -> Days:
        """Those that are `chosen`, in that order."""
        values = [column[chosen] for column in self.values]
        return Days(self.keys[chosen], self.updated[chosen], self.identities[chosen], values)


def days_of(rows: Rows, users: Mapping[bytes, int], rules: DayRules) -> Days | None:
    """Those of `rows` that count and are of `users` (numbers by id); None if none of their layout counts."""
    if not from_phone(rows.layout.template, rules.sources):
        return None
    owners = np.array([users.get(owner, -1) for owner in rows.identities("userId")], np.int64)
    days = calendar_days(rows.moments("date"), rules)
    found = Days(
        owners << DAY_BITS | days + DAY_SHIFT,
        rows.moments("updatedAt"),
        rows.column("_id"),
        [_usable(rows, name, *bounds) for name, bounds in limits().items()],
    )
    return found.where((owners >= 0) & (days <= rules.last_day))


def judge_rows(rows: Rows, rules: DayRules) -> tuple[Bools, str]:
    """Which of `rows` are clear, and the reason why these do not count, empty if they do.

    The others have something to refuse: that is `check_document`'s to tell.
    """
    clear = calendar_days(rows.moments("date"), rules) <= rules.last_day
    if not from_phone(rows.layout.template, rules.sources):
        return clear, why_left_out(rows.layout.template, rules.sources)
    for name in rows.layout.metrics:
        values, (low, high) = rows.values(name), limits()[name]
        clear &= (values >= low) & (values <= high)
    return clear, ""


def first_days(rows: Iterable[Rows], documents: Iterable[Document], rules: DayRules) -> dict[ObjectId, int]:
    """By user the first day that `rows` and `documents` are of; EVER where one of them has no day."""
    found: dict[bytes, int] = {}
    for some in rows:
        days = calendar_days(some.moments("date"), rules).tolist()
        for owner, day in zip(some.identities("userId"), days, strict=True):
            found[owner] = min(day, found.get(owner, day))
    for document in documents:
        user, placed = document.get("userId"), place(document, rules)
        if isinstance(user, ObjectId):
            day = EVER if isinstance(placed, str) else placed
            found[user.binary] = min(day, found.get(user.binary, day))
    return {ObjectId(owner): day for owner, day in found.items()}


def joined(parts: Sequence[Days]) -> Days:
    """All of `parts`."""
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Days(nothing, nothing, np.zeros(0, "V12"), [np.zeros(0)] * len(limits()))
    return Days(
        np.concatenate([part.keys for part in parts]),
        np.concatenate([part.updated for part in parts]),
        np.concatenate([part.identities for part in parts]),
        [np.concatenate(columns) for columns in zip(*(part.values for part in parts), strict=True)],
    )


def winners_of(days: Days, superseded: Superseded) -> Days:
    """The greatest (updatedAt, `_id`) of each key, sorted by key; the others are added to `superseded`."""
    order = np.argsort(days.keys, kind="stable")
    keys = days.keys[order]
    if (keys[1:] != keys[:-1]).all():
        return days.where(order)
    halves = days.identities.copy().view([("first", ">u8"), ("last", ">u4")])
    order = np.lexsort((halves["last"], halves["first"], days.updated, days.keys))
    keys = days.keys[order]
    is_last = np.append(keys[1:] != keys[:-1], True)
    _note(days.where(order[~is_last]), superseded)
    return days.where(order[is_last])


def calendar_days(moments: Integers, rules: DayRules) -> Integers:
    """The days since 1970-01-01 of `moments`, as `rules.day_of` tells them."""
    days, rest = np.divmod(moments, _DAY)
    if rules.timezone != "UTC":
        local = np.flatnonzero(rest)
        some, places = np.unique(moments[local], return_inverse=True)
        found = [rules.day_of(moment_of(moment)) for moment in some.tolist()]
        days[local] = np.array(found, np.int64)[places]
    return days


def _usable(rows: Rows, name: str, low: float, high: float) -> Doubles:
    if name not in rows.layout.metrics:
        return np.full(len(rows), np.nan)
    values = rows.values(name)
    # + 0.0 turns -0.0 into 0.0, as in check_value.
    return np.where((values >= low) & (values <= high), values + 0.0, np.nan)


def _note(losers: Days, superseded: Superseded) -> None:
    if superseded.since is None:
        return
    for loser in np.flatnonzero(losers.updated >= milliseconds(superseded.since)).tolist():
        identity = ObjectId(losers.identities[loser].tobytes())
        superseded.add(moment_of(int(losers.updated[loser])), identity)
