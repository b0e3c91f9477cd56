"""Rankings that change as a whole: readers see one generation of rows or the next, never a mix or nothing.

The rows of a generation are written first; then one document, the pointer, names the generation, how many
rows it has, and sums over them. Readers look at the pointer, read that generation, and begin again when the
count is not right (sources/stock/published_ranking.py). Rows of earlier generations are removed some time
later.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any

import bson
from bson import Decimal128, ObjectId
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from sinks.stock.sales import pieces

POINTERS = "publications"
# Readers who are slower begin again; those who do not follow the pointer see old rows until then.
GRACE = timedelta(seconds=10)
_MAX_RETIRED = 50
# Servers have bounds of their own for a command: DocumentDB takes 25 000.
_ROWS_AT_ONCE = 1_000
# As many digits as MongoDB's decimals have.
_DECIMALS = Context(prec=34)


class Publication:
    """The rows of one collection. One process at a time publishes; pymongo's errors pass through.

    `summed` are decimal fields of which the pointer has the sum over all rows.
    """

    def __init__(self, database: Database[dict[str, Any]], name: str, summed: Sequence[str] = ()) -> None:
        self._rows: Collection[dict[str, Any]] = database[name]
        self._pointers = database[POINTERS]
        self._key = {"_id": name}
        self._summed = summed
        self._swept = False

    def publish(self, rows: Callable[[], Iterable[Mapping[str, Any]]], now: datetime) -> bool:
        """Publish the result of `rows` in place of the present rows; False when it is the same.

        Each row also gets `calculatedAt` (= `now`) and its `generation`.
        """
        pointer = self._pointers.find_one(self._key) or {}
        # After the pointer was read, so that older rows never take the place of its generation.
        documents = [dict(row) for row in rows()]
        digest = hashlib.sha256(b"".join(map(bson.encode, documents))).hexdigest()
        # A program before this one had no sums.
        if pointer.get("digest") == digest and pointer.get("sums", {}).keys() >= set(self._summed):
            return False
        generation = _after(pointer.get("generation"))
        marks = {"calculatedAt": now, "generation": generation}
        for some in pieces(({**document, **marks} for document in documents), _ROWS_AT_ONCE):
            self._rows.insert_many(some)
        retired = pointer.get("retired", [])
        if pointer:
            retired = [*retired, {"generation": pointer["generation"], "at": now}][-_MAX_RETIRED:]
        change = {
            "generation": generation,
            "count": len(documents),
            "version": pointer.get("version", 0) + 1,
            "publishedAt": now,
            "digest": digest,
            "retired": retired,
            **({"sums": {name: _sum(documents, name) for name in self._summed}} if self._summed else {}),
        }
        # Whoever published meanwhile has taken over; what was inserted here is swept by the next process.
        before = {**self._key, "generation": pointer.get("generation")}
        try:
            moved = self._pointers.update_one(before, {"$set": change}, upsert=not pointer)
        except DuplicateKeyError:
            return False
        return bool(moved.matched_count or moved.upserted_id)

    def tidy(self, now: datetime) -> None:
        """Remove rows of generations that went out of use GRACE ago, or never came into use."""
        pointer = self._pointers.find_one(self._key)
        # Rows that never came into use were left by an earlier process.
        if pointer is None or (self._swept and not pointer["retired"]):
            return
        kept = [entry for entry in pointer["retired"] if entry["at"] > now - GRACE]
        used = [pointer["generation"], *(entry["generation"] for entry in kept)]
        # Older ones alone, so that it harms nothing when it arrives late or another process publishes.
        self._rows.delete_many({"generation": {"$nin": used, "$lt": pointer["generation"]}})
        if len(kept) < len(pointer["retired"]):
            same = {**self._key, "generation": pointer["generation"]}
            self._pointers.update_one(same, {"$set": {"retired": kept}})
        self._swept = True


def _sum(documents: Iterable[Mapping[str, Any]], name: str) -> Decimal128:
    total = Decimal(0)
    for document in documents:
        total = _DECIMALS.add(total, document[name].to_decimal())
    return Decimal128(total)


def _after(before: ObjectId | None) -> ObjectId:
    """A new id that is greater than `before`, whatever the clocks say."""
    made = ObjectId()
    if before is None or before < made:
        return made
    number = int.from_bytes(before.binary, "big") + 1 + secrets.randbelow(2**32)
    return ObjectId(number.to_bytes(12, "big"))
