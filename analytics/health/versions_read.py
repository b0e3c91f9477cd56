"""Notes which versions of which days were read of each user: their fingerprints, and the newest of them.

A version is a day with its `updatedAt`. Whoever computes and whoever compares count the same documents: those
that have a day which is not in the future, whatever else they hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Final

import numpy as np
from bson.objectid import ObjectId
from numpy.typing import NDArray

from analytics.health.basis import Fingerprint, signed
from analytics.health.history_rows import calendar_days
from analytics.health.past import EVER, Past
from analytics.health.validation import DayRules, place
from contracts import Document
from contracts.plain_documents import Integers, Rows, milliseconds, moment_of

# The constants of SplitMix64 (Steele, Lea and Flood, 2014): each bit of the input changes half of the output.
_GOLDEN, _FIRST, _SECOND = (
    np.uint64(number) for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_LAST_DAY: Final = 10_000_000
_Columns = list[tuple[Any, Any, Any, Any]]


class VersionsRead:
    """The versions of documents by user: those of `users` first, others in the order in which they come."""

    def __init__(self, rules: DayRules, users: Sequence[ObjectId] = ()) -> None:
        self._rules = rules
        # By bytes, because hashing and comparing an ObjectId runs Python code.
        self._numbers = {user.binary: number for number, user in enumerate(users)}
        self._parts: _Columns = []
        self._singles: list[tuple[int, int, int, int]] = []

    @property
    def users(self) -> list[ObjectId]:
        """Whose documents were noted, or asked for; the other results are in this order."""
        return [ObjectId(user) for user in self._numbers]

    def watch(self, documents: Iterable[Document | Rows]) -> Iterator[Document | Rows]:
        """Note `documents` while they pass."""
        for found in documents:
            self.note(found)
            yield found

    def note(self, found: Document | Rows) -> None:
        """Note what was read, if it has a day."""
        if isinstance(found, Rows):
            dates, updated = found.moments("date"), found.moments("updatedAt")
            days = calendar_days(dates, self._rules)
            there = days <= self._rules.last_day
            numbers = np.array([self._number(owner) for owner in found.identities("userId")], np.int64)
            self._parts.append((numbers[there], days[there], dates[there], updated[there]))
            return
        owner, day = found.get("userId"), place(found, self._rules)
        if isinstance(owner, ObjectId) and not isinstance(day, str):
            moments = (_milliseconds(found["date"]), _milliseconds(found["updatedAt"]))
            self._singles.append((self._number(owner.binary), day, *moments))

    def fingerprints(
        self, first: Sequence[int] | None = None, before: Sequence[int] | None = None
    ) -> list[Fingerprint]:
        """By user that of the documents from the day `first` on up to the one before `before`, or of all."""
        numbers, days, dates, updated = self._columns()
        users = len(self._numbers)
        firsts = np.array(first if first is not None else [EVER] * users, np.int64)
        ends = np.array(before if before is not None else [_LAST_DAY] * users, np.int64)
        inside = (days >= firsts[numbers]) & (days < ends[numbers]) if users else np.zeros(0, np.bool_)
        counts = np.bincount(numbers[inside], minlength=users)
        digests = np.zeros(users, np.uint64)
        np.add.at(digests, numbers[inside], _mixed(dates[inside], updated[inside]))
        pairs = zip(counts.tolist(), digests.tolist(), strict=True)
        return [Fingerprint(count, signed(digest)) for count, digest in pairs]

    def newest(self) -> list[datetime | None]:
        """By user the newest `updatedAt`; None where nothing was noted."""
        numbers, _, _, updated = self._columns()
        none = np.iinfo(np.int64).min
        found = np.full(len(self._numbers), none, np.int64)
        np.maximum.at(found, numbers, updated)
        return [None if moment == none else moment_of(moment) for moment in found.tolist()]

    def _number(self, owner: bytes) -> int:
        return self._numbers.setdefault(owner, len(self._numbers))

    def _columns(self) -> tuple[Integers, Integers, Integers, Integers]:
        if self._singles:
            self._parts.append(tuple(np.array(self._singles, np.int64).T))
            self._singles = []
        if not self._parts:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing, nothing, nothing
        numbers, days, dates, updated = (
            np.concatenate(columns) for columns in zip(*self._parts, strict=True)
        )
        self._parts = [(numbers, days, dates, updated)]
        return numbers, days, dates, updated


def whole(pasts: Sequence[Past], read: VersionsRead) -> list[Fingerprint]:
    """By user that of the whole history: of the past, and of what was `read` of the days after it."""
    recent = read.fingerprints(first=[past.before for past in pasts])
    return [past.fingerprint + mine for past, mine in zip(pasts, recent, strict=True)]


def with_fingerprints(moved: Sequence[Past], pasts: Sequence[Past], read: VersionsRead) -> list[Past]:
    """The pasts that were `moved` on from `pasts`, with the fingerprints of their days."""
    passed = read.fingerprints([past.before for past in pasts], [past.before for past in moved])
    return [
        replace(later, fingerprint=past.fingerprint + between)
        for later, past, between in zip(moved, pasts, passed, strict=True)
    ]


def _mixed(dates: Integers, updated: Integers) -> NDArray[np.uint64]:
    mixed: NDArray[np.uint64] = dates.astype(np.uint64) * _GOLDEN + updated.astype(np.uint64)
    mixed = (mixed ^ mixed >> np.uint64(30)) * _FIRST
    mixed = (mixed ^ mixed >> np.uint64(27)) * _SECOND
    return mixed ^ mixed >> np.uint64(31)


def _milliseconds(moment: datetime) -> int:
    return milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc))
