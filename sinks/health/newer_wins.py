"""Newer wins, in the cheapest way for each result: inserted, touched or upserted.

What is stored of a user is read once, without the figures. A key that is not there is inserted. Where the
same content stands, only its dates and metadata move, for many results in one command: it is touched. The
date has to move, or a calculation between the two would win later. All else is upserted. The reading only
chooses the way: each command has the conditions that decide, so nothing depends on what happens in between.
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
from pymongo import UpdateMany
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from contracts import Clock, Document, WriteResult
from contracts.health import ResultKey, Results
from sinks.health.mongo_upsert import NOT_ENCODABLE, Upserts
from sinks.health.stored_results import KEY, KEY_AND_DATE, delete_obsolete, may_be_touched
from sinks.mongo_errors import write_errors

# Inside the metadata, which a program that knows no hash replaces as a whole.
_HASH = "metadata.contentHash"
_READ = {**KEY_AND_DATE, "createdAt": 1, _HASH: 1}


@dataclass(frozen=True, slots=True)
class _Found:
    """What stands under a key; `content` is its hash, if it may be touched."""

    identity: Any
    content: Any


class NewerWins:
    """Writes results that are all of `calculated_at`, then removes what else their users have.

    A stored `calculatedAt` later than `clock` tells at that moment, or that is not a date, is wrong and is
    overwritten. With `anew` nothing is touched, so that content which somebody else changed is replaced too.
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
        new, changed = [], []
        same: dict[Any, int] = {}
        for row in rows:
            found = self._found.pop(results.keys[row], None)
            if found is None:
                new.append(row)
            elif found.content == results.hashes[row] and not self._anew:
                same[found.identity] = row
            else:
                changed.append(row)
        done = self._upserts.insert(results.documents(new)) + self._upserts.upsert(results.documents(changed))
        return done + self._touch(results, same) if same else done

    def _read(self, users: set[ObjectId]) -> None:
        """Find what is stored of those `users` who are not known yet."""
        with self._reading:
            unknown = users - self._known
            if not unknown:
                return
            for one in self._collection.find({"userId": {"$in": sorted(unknown)}}, _READ):
                user, time_range, metric = (one.get(name) for name in KEY)
                if not (
                    isinstance(user, ObjectId) and isinstance(time_range, str) and isinstance(metric, str)
                ):
                    self._odd |= unknown
                    continue
                key = user, time_range, metric
                if key in self._found:
                    self._odd.add(user)
                metadata = one.get("metadata")
                touchable = may_be_touched(one, self._calculated_at) and key not in self._found
                content = metadata.get("contentHash") if touchable and isinstance(metadata, dict) else None
                self._found[key] = _Found(one["_id"], content)
            self._known |= unknown

    def _touch(self, results: Results, same: dict[Any, int]) -> WriteResult:
        """Move the dates and metadata of stored results; `same` is by their `_id` the row with their content.

        What is not as it was when it was read is upserted.
        """
        (example,) = results.documents([next(iter(same.values()))])
        content = [results.hashes[row] for row in same.values()]
        mine = {"_id": {"$in": list(same)}, _HASH: {"$in": content}}
        older = {**mine, "calculatedAt": {"$lt": self._calculated_at}}
        if self._move(older, example) == len(same):
            return WriteResult(updated=len(same), examples={"update": (example,)})
        # Another writer came between, or a part was refused. One that repeats this calculation counts alike.
        stands = self._collection.find({**mine, "calculatedAt": self._calculated_at}, {"_id": 1})
        for one in stands:
            same.pop(one["_id"], None)
        touched = WriteResult(updated=len(content) - len(same))
        return touched + self._upserts.upsert(results.documents(same.values()))

    def _move(self, older: dict[str, Any], example: Document) -> int:
        """Give what meets `older` the dates and metadata of `example`; returns how many were there.

        After an error it is 0: whatever the error was, each document that is left will meet it by itself.
        """
        run = {name: example[name] for name in ("calculatedAt", "expiresAt") if name in example}
        metadata = {f"metadata.{name}": value for name, value in example["metadata"].items()}
        del metadata[_HASH]
        change = {"$set": {**run, **metadata, "updatedAt": self._calculated_at}}
        try:
            return self._collection.bulk_write([UpdateMany(older, change)], ordered=False).matched_count
        except BulkWriteError as error:
            write_errors(error)
        except NOT_ENCODABLE:
            pass
        return 0


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
