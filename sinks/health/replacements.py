"""Older results that are stored as this service writes them are replaced, each by its `_id`.

Where the same content stands, only the dates and metadata move, for many results in one command: it is
touched. The date has to move, or a calculation between the two would win later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo import UpdateMany, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from contracts import EXAMPLES_EACH, Document, WriteResult
from contracts.health import CONTENT_METADATA, Results
from sinks.health.mongo_upsert import NOT_ENCODABLE, Upserts
from sinks.health.stored_results import CREATED_AT_NO_DATE
from sinks.mongo_errors import write_errors

# Inside the metadata, which a program that knows no hash replaces as a whole.
HASH = "metadata.contentHash"
_Rows = Mapping[ObjectId, int]


class Replacements:
    """Replaces results by those of `calculated_at`; raises what `upserts` raises."""

    def __init__(
        self, collection: Collection[dict[str, Any]], calculated_at: datetime, upserts: Upserts
    ) -> None:
        self._collection, self._calculated_at, self._upserts = collection, calculated_at, upserts
        self._older = {"calculatedAt": {"$lt": calculated_at}, "$nor": [CREATED_AT_NO_DATE]}

    def replace(self, results: Results, changed: _Rows, same: _Rows) -> WriteResult:
        """Replace what is stored under each `_id` by its row: all of it if it `changed`.

        What is not as it was when it was read, or is refused, is upserted.
        """
        rows = {**changed, **same}
        if not rows:
            return WriteResult()
        documents = results.documents([*changed.values(), *islice(same.values(), 1)])
        updates = [
            UpdateOne({"_id": identity, **self._older}, self._upserts.change(document))
            for identity, document in zip(changed, documents, strict=False)
        ]
        touch = [self._touch(results, same, documents[-1])] if same else []
        if self._send(updates) + self._send(touch) == len(rows):
            return WriteResult(updated=len(rows), examples={"update": tuple(documents[:EXAMPLES_EACH])})
        standing = self._standing(results, rows)
        left = sorted((row for row in rows.values() if row not in standing), key=results.keys.__getitem__)
        return WriteResult(updated=len(standing)) + self._upserts.upsert(results.documents(left))

    def _touch(self, results: Results, same: _Rows, example: Document) -> UpdateMany:
        """Give those of `same` that still have their row's content the dates and metadata of `example`."""
        told = example["metadata"].items()
        metadata = {f"metadata.{name}": value for name, value in told if name not in CONTENT_METADATA}
        run = {name: example[name] for name in ("calculatedAt", "expiresAt") if name in example}
        change = {**metadata, **run, "updatedAt": self._calculated_at}
        return UpdateMany({**self._mine(results, same), **self._older}, {"$set": change})

    def _mine(self, results: Results, rows: _Rows) -> dict[str, Any]:
        # A hash is of one key, so that no result answers to that of another.
        return {"_id": {"$in": list(rows)}, HASH: {"$in": [results.hashes[row] for row in rows.values()]}}

    def _send(self, operations: Sequence[UpdateOne | UpdateMany]) -> int:
        """Returns how many documents were replaced; after an error 0: whoever is left meets it again."""
        if not operations:
            return 0
        try:
            return self._collection.bulk_write(operations, ordered=False).matched_count
        except BulkWriteError as error:
            write_errors(error)
        except NOT_ENCODABLE:
            pass
        return 0

    def _standing(self, results: Results, rows: _Rows) -> set[int]:
        """Those of `rows` that are stored, also by another attempt at the same calculation."""
        mine = {**self._mine(results, rows), "calculatedAt": self._calculated_at}
        return {rows[one["_id"]] for one in self._collection.find(mine, {"_id": 1})}
