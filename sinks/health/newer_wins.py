"""Newer wins, in the cheapest way for each result: inserted, touched, updated or upserted.

What is stored of a user is read once, without the figures. A key that is not there is inserted, what is there
is replaced, and what is not as this service writes it is upserted. The reading only chooses the way: each
command has the conditions that decide, so that nothing depends on what happens in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from threading import Lock
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from contracts import Clock, Document, WriteResult
from contracts.health import ResultKey, Results
from sinks.health.mongo_upsert import Upserts
from sinks.health.replacements import HASH, Replacements
from sinks.health.stored_results import HAS_KEY, KEY, KEY_AND_DATE, delete_obsolete, may_be_replaced

_READ = {**KEY_AND_DATE, HASH: 1}


@dataclass(frozen=True, slots=True)
class _Found:
    """What stands under a key: its `_id`, None if only an upsert may replace it, and its content's hash."""

    identity: ObjectId | None
    content: Any


class NewerWins:
    """Writes results that are all of `calculated_at`, then removes what else their users have.

    A stored `calculatedAt` later than `clock` tells at that moment, or that is not a date, is wrong and is
    overwritten. With `anew` nothing is touched: content that another program changed is replaced too.
    Raises pymongo's connection errors, and UnavailableError when transient refusals do not end or writes are
    not confirmed; what a document causes itself is in `failed`, and its old version stays.
    """

    def __init__(
        self,
        collection: Collection[dict[str, Any]],
        calculated_at: datetime,
        clock: Clock,
        anew: bool = False,
        threads: int = 2,
        bulk: int = 500,
    ) -> None:
        self._collection, self._calculated_at, self._clock = collection, calculated_at, clock
        self._anew, self._threads, self._bulk = anew, max(1, threads), bulk
        self._upserts = Upserts(collection, calculated_at, clock)
        self._replacements = Replacements(collection, calculated_at, self._upserts)
        # What was read and not written yet; and the users of whom something was read that is under no key.
        self._found: dict[ResultKey, _Found] = {}
        self._known: set[ObjectId] = set()
        self._odd: set[ObjectId] = set()
        self._reading = Lock()
        self._failed: list[Document] = []

    def write(self, results: Results) -> WriteResult:
        """Write all of `results`; may be called again with others."""
        # Sorted alike everywhere, or two bulks over the same keys in different orders deadlock.
        rows = sorted(range(len(results.keys)), key=results.keys.__getitem__)
        bulks = [rows[start : start + self._bulk] for start in range(0, len(rows), self._bulk)]
        with ThreadPoolExecutor(self._threads) as pool:
            done = list(pool.map(partial(self._write_all, results), _halves(bulks, self._threads)))
        total = sum(done, WriteResult())
        self._failed += [failed.document for failed in total.failed]
        return total

    def remove_others(self, users: Sequence[ObjectId]) -> int:
        """Remove what `users` have besides what was written, unless it is newer; returns how many.

        Only of those is anything asked for of whom nothing, or something else, was found when they were read.
        """
        others = {key[0] for key in self._found} | self._odd
        asked = [user for user in users if user not in self._known or user in others]
        return delete_obsolete(self._collection, asked, self._calculated_at, self._failed, self._clock)

    def _write_all(self, results: Results, bulks: Sequence[Sequence[int]]) -> WriteResult:
        return sum((self._write_bulk(results, rows) for rows in bulks), WriteResult())

    def _write_bulk(self, results: Results, rows: Sequence[int]) -> WriteResult:
        self._read({results.keys[row][0] for row in rows})
        new, odd = [], []
        changed: dict[ObjectId, int] = {}
        same: dict[ObjectId, int] = {}
        for row in rows:
            found = self._found.pop(results.keys[row], None)
            if found is None:
                new.append(row)
            elif found.identity is None:
                odd.append(row)
            elif found.content != results.hashes[row] or self._anew:
                changed[found.identity] = row
            else:
                same[found.identity] = row
        written = self._upserts.insert(results.documents(new)) + self._upserts.upsert(results.documents(odd))
        return written + self._replacements.replace(results, changed, same)

    def _read(self, users: set[ObjectId]) -> None:
        """Find what is stored of those `users` who are not known yet."""
        with self._reading:
            unknown = users - self._known
            if not unknown:
                return
            theirs = {**HAS_KEY, "userId": {"$in": sorted(unknown)}}
            for one in self._collection.find(theirs, _READ):
                user, time_range, metric = (one[name] for name in KEY)
                if isinstance(user, ObjectId) and isinstance(time_range, str) and isinstance(metric, str):
                    self._note((user, time_range, metric), one)
                else:
                    self._odd |= unknown
            self._known |= unknown

    def _note(self, key: ResultKey, one: Document) -> None:
        if key in self._found:
            self._odd.add(key[0])
        metadata = one.get("metadata")
        content = metadata.get("contentHash") if isinstance(metadata, dict) else None
        identity = one["_id"] if may_be_replaced(one, self._calculated_at) else None
        self._found[key] = _Found(identity, content)


def write_newer(
    collection: Collection[dict[str, Any]],
    results: Results,
    users: Iterable[ObjectId],
    calculated_at: datetime,
    clock: Clock,
    anew: bool = False,
) -> WriteResult:
    """Write all `results` of `users` (NewerWins), then remove what else they have and is not newer."""
    writer = NewerWins(collection, calculated_at, clock, anew)
    total = writer.write(results)
    return total + WriteResult(deleted=writer.remove_others(list(users)))


def _halves(bulks: list[list[int]], threads: int) -> list[list[list[int]]]:
    """Consecutive runs of bulks, so that each thread has key ranges of its own."""
    size = -(-len(bulks) // threads) or 1
    return [bulks[start : start + size] for start in range(0, len(bulks), size)]
