"""Newer wins: analytics documents are written unless the stored one was calculated later.

One atomic conditional upsert per key, in unordered bulks; there is no read before the write, so concurrent
writers cannot overtake each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from typing import Any

from bson import ObjectId
from bson.errors import BSONError
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DocumentTooLarge, InvalidOperation

from contracts import EXAMPLES_EACH, Document, FailedWrite, UnavailableError, WriteResult
from sinks.mongo_errors import DUPLICATE_KEY, is_transient_write

KEY = ("userId", "timeRange", "metricType")
_DELETE_USERS = 500
_TRIES = 6
_WAIT_SECONDS = 0.05
_Documents = Sequence[Document]
_Operation = Callable[[Document], UpdateOne]


def upsert_newer(
    collection: Collection[dict[str, Any]],
    documents: _Documents,
    user_ids: Sequence[ObjectId],
    calculated_at: datetime,
    server_now: datetime,
    threads: int = 2,
    bulk: int = 500,
) -> WriteResult:
    """Write `documents` (all of `calculated_at`), then delete what else of `user_ids` is older.

    A stored `calculatedAt` later than `server_now`, or that is not a date, is wrong and is overwritten.
    Raises pymongo's connection errors and UnavailableError when transient refusals do not end; what a
    document causes itself is in `failed`, and the older version of such a document stays.
    """
    # Sorted alike everywhere, or two bulks over the same keys in different orders deadlock.
    ordered = sorted(documents, key=_sort_key)
    bulks = [ordered[start : start + bulk] for start in range(0, len(ordered), bulk)]
    writer = _Writer(collection, calculated_at, server_now)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        results = list(pool.map(writer.write, _halves(bulks, threads)))
    total = sum(results, WriteResult())
    deleted = delete_older(collection, user_ids, calculated_at, [failed.document for failed in total.failed])
    return total + WriteResult(deleted=deleted)


def delete_older(
    collection: Collection[dict[str, Any]],
    user_ids: Sequence[ObjectId],
    calculated_at: datetime,
    kept: _Documents,
) -> int:
    """Remove what of `user_ids` was calculated before, and return how much that was.

    `kept` could not be written, so their old version stays.
    """
    deleted = 0
    keep = [{name: document[name] for name in KEY} for document in kept]
    for start in range(0, len(user_ids), _DELETE_USERS):
        condition: dict[str, Any] = {
            "userId": {"$in": list(user_ids[start : start + _DELETE_USERS])},
            "calculatedAt": {"$lt": calculated_at},
        }
        if keep:
            condition["$nor"] = keep
        deleted += collection.delete_many(condition).deleted_count
    return deleted


def stored_of(
    collection: Collection[dict[str, Any]], user_ids: Sequence[ObjectId], calculated_at: datetime
) -> tuple[int, int]:
    """How many documents of `user_ids` the calculation of `calculated_at` has inserted and updated.

    For a write that was repeated: the second time finds its own documents, and its answers count them as
    skipped.
    """
    mine: dict[str, Any] = {"userId": {"$in": list(user_ids)}, "calculatedAt": calculated_at}
    inserted = collection.count_documents({**mine, "createdAt": calculated_at})
    return inserted, collection.count_documents(mine) - inserted


def _sort_key(document: Document) -> tuple[Any, ...]:
    return tuple(document[name] for name in KEY)


def _halves(bulks: list[list[Document]], threads: int) -> list[list[list[Document]]]:
    """Consecutive runs of bulks, so that each thread has key ranges of its own."""
    size = -(-len(bulks) // max(1, threads)) or 1
    return [bulks[start : start + size] for start in range(0, len(bulks), size)]


class _Writer:
    """One call's conditional upserts."""

    def __init__(
        self, collection: Collection[dict[str, Any]], calculated_at: datetime, now: datetime
    ) -> None:
        self._collection = collection
        self._calculated_at = calculated_at
        self._older = [
            {"calculatedAt": {"$lt": calculated_at}},
            {"calculatedAt": {"$not": {"$type": "date"}}},
            {"calculatedAt": {"$gt": max(now, calculated_at)}},
        ]

    def write(self, bulks: Sequence[_Documents]) -> WriteResult:
        """Write bulk after bulk."""
        return sum((self._upsert(documents) for documents in bulks), WriteResult())

    def _upsert(self, documents: _Documents) -> WriteResult:
        result, refused = self._send(documents, self._operation)
        # 11000 is not yet a skip: another writer may have inserted an older document after our look.
        again, wrong = self._send(refused, self._update_only)
        skipped = len(refused) - again.updated - len(again.failed) - len(wrong)
        failed = tuple(FailedWrite(document, "duplicate key") for document in wrong)
        # Which of several were skipped is not in the answer, but all of them is.
        examples = {"skip": tuple(refused[:EXAMPLES_EACH])} if skipped == len(refused) > 0 else {}
        return result + again + WriteResult(skipped=skipped, failed=failed, examples=examples)

    def _operation(self, document: Document) -> UpdateOne:
        return UpdateOne(self._filter(document), self._change(document, insert=True), upsert=True)

    def _update_only(self, document: Document) -> UpdateOne:
        return UpdateOne(self._filter(document), self._change(document, insert=False))

    def _filter(self, document: Document) -> dict[str, Any]:
        return {**{name: document[name] for name in KEY}, "$or": self._older}

    def _change(self, document: Document, insert: bool) -> dict[str, Any]:
        values = {name: value for name, value in document.items() if name not in KEY}
        change: dict[str, Any] = {"$set": {**values, "updatedAt": self._calculated_at}}
        if insert:
            change["$setOnInsert"] = {"createdAt": self._calculated_at}
        return change

    def _send(self, documents: _Documents, operation: _Operation) -> tuple[WriteResult, list[Document]]:
        """The counts, and the documents that a duplicate key refused."""
        total, pending = WriteResult(), list(documents)
        duplicates: list[Document] = []
        for attempt in range(_TRIES):
            if not pending:
                return total, duplicates
            if attempt:
                time.sleep(_WAIT_SECONDS * 2**attempt)
            try:
                answer = self._collection.bulk_write([operation(d) for d in pending], ordered=False)
            except BulkWriteError as error:
                result, again, refused = _sort_out(error.details, pending)
                total, pending = total + result, again
                duplicates += refused
                continue
            except (BSONError, DocumentTooLarge, InvalidOperation, OverflowError) as error:
                result, refused = self._bisect(pending, operation, error)
                return total + result, duplicates + refused
            examples = _examples(pending, answer.upserted_ids or {})
            counts = WriteResult(answer.upserted_count, answer.matched_count, examples=examples)
            return total + counts, duplicates
        if pending:
            raise UnavailableError(
                f"{len(pending)} writes were refused as conflicts {_TRIES} times; tried again later."
            )
        return total, duplicates

    def _bisect(
        self, documents: _Documents, operation: _Operation, error: Exception
    ) -> tuple[WriteResult, list[Document]]:
        """One document that cannot be encoded stops its whole bulk: halve until it stands alone."""
        if len(documents) == 1:
            reason = f"cannot be encoded ({type(error).__name__})"
            return WriteResult(failed=(FailedWrite(documents[0], reason),)), []
        middle = len(documents) // 2
        first, refused = self._send(documents[:middle], operation)
        second, more = self._send(documents[middle:], operation)
        return first + second, refused + more


def _examples(documents: _Documents, inserted: Mapping[int, Any]) -> dict[str, tuple[Document, ...]]:
    """A few documents of a bulk without errors; what was not inserted was matched."""
    new = tuple(documents[index] for index in list(inserted)[:EXAMPLES_EACH])
    others = (document for index, document in enumerate(documents) if index not in inserted)
    found = {"insert": new, "update": tuple(islice(others, EXAMPLES_EACH))}
    return {kind: some for kind, some in found.items() if some}


def _sort_out(details: Any, documents: _Documents) -> tuple[WriteResult, list[Document], list[Document]]:
    """The counts of a bulk with errors, the documents to send again, those refused by a duplicate key."""
    again, duplicates, failed = [], [], []
    for entry in details["writeErrors"]:
        document = documents[entry["index"]]
        if entry.get("code") == DUPLICATE_KEY:
            duplicates.append(document)
        elif is_transient_write(entry):
            again.append(document)
        else:
            failed.append(FailedWrite(document, f"refused by the server (code {entry.get('code')})"))
    return WriteResult(details["nUpserted"], details["nMatched"], failed=tuple(failed)), again, duplicates
