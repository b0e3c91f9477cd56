"""Newer wins: analytics documents are written unless the stored one was calculated later.

One atomic conditional upsert per key, in unordered bulks; there is no read before the write, so concurrent
writers cannot overtake each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from bson import ObjectId
from bson.errors import BSONError
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DocumentTooLarge, InvalidOperation

from contracts import EXAMPLES_EACH, Clock, Document, FailedWrite, UnavailableError, WriteResult
from sinks.health.stored_results import KEY, delete_obsolete, key_of, outdated, wrong_dates
from sinks.mongo_errors import DUPLICATE_KEY, is_transient_write, write_errors

_TRIES = 6
_WAIT_SECONDS = 0.05
_Documents = Sequence[Document]
_Operation = Callable[[Document], UpdateOne]


def upsert_newer(
    collection: Collection[dict[str, Any]],
    documents: _Documents,
    user_ids: Sequence[ObjectId],
    calculated_at: datetime,
    clock: Clock,
    threads: int = 2,
    bulk: int = 500,
) -> WriteResult:
    """Write `documents` (all of `calculated_at`), then delete what else of `user_ids` is not newer.

    A stored `calculatedAt` later than `clock` tells at that moment, or that is not a date, is wrong and is
    overwritten. Raises pymongo's connection errors, and UnavailableError when transient refusals do not end
    or writes are not confirmed; what a document causes itself is in `failed`, and its old version stays.
    """
    # Sorted alike everywhere, or two bulks over the same keys in different orders deadlock.
    ordered = sorted(documents, key=_sort_key)
    bulks = [ordered[start : start + bulk] for start in range(0, len(ordered), bulk)]
    writer = _Writer(collection, calculated_at, clock)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        results = list(pool.map(writer.write, _halves(bulks, threads)))
    total = sum(results, WriteResult())
    kept = [failed.document for failed in total.failed]
    deleted = delete_obsolete(collection, user_ids, calculated_at, kept, clock)
    return total + WriteResult(deleted=deleted)


def _sort_key(document: Document) -> tuple[Any, ...]:
    return tuple(document[name] for name in KEY)


def _halves(bulks: list[list[Document]], threads: int) -> list[list[list[Document]]]:
    """Consecutive runs of bulks, so that each thread has key ranges of its own."""
    size = -(-len(bulks) // max(1, threads)) or 1
    return [bulks[start : start + size] for start in range(0, len(bulks), size)]


class _Writer:
    """One call's conditional upserts."""

    def __init__(self, collection: Collection[dict[str, Any]], calculated_at: datetime, clock: Clock) -> None:
        self._collection = collection
        self._calculated_at = calculated_at
        self._clock = clock
        self._outdated = outdated(calculated_at)

    def write(self, bulks: Sequence[_Documents]) -> WriteResult:
        """Write bulk after bulk."""
        return sum((self._upsert(documents) for documents in bulks), WriteResult())

    def _upsert(self, documents: _Documents) -> WriteResult:
        result, refused = self._send(documents, self._operation)
        if not refused:
            return result
        # 11000 is not yet a skip: another writer may have inserted an older document after our look, or what
        # is stored is dated after now.
        wrong = wrong_dates(self._collection, refused, self._calculated_at, self._clock)
        again, impossible = self._send(refused, partial(self._update_only, wrong))
        skipped = len(refused) - again.updated - len(again.failed) - len(impossible)
        failed = tuple(FailedWrite(document, "duplicate key") for document in impossible)
        # Which of several were skipped is not in the answer, but all of them is.
        examples = {"skip": tuple(refused[:EXAMPLES_EACH])} if skipped == len(refused) > 0 else {}
        return result + again + WriteResult(skipped=skipped, failed=failed, examples=examples)

    def _operation(self, document: Document) -> UpdateOne:
        return UpdateOne(self._filter(document), self._change(document, insert=True), upsert=True)

    def _update_only(self, wrong: Mapping[str, Any], document: Document) -> UpdateOne:
        """Update `document` without inserting it; `wrong` has by key the later dates that may be replaced."""
        date = wrong.get(key_of(document)) if wrong else None
        also = () if date is None else ({"calculatedAt": date},)
        return UpdateOne(self._filter(document, *also), self._change(document, insert=False))

    def _filter(self, document: Document, *also: Document) -> dict[str, Any]:
        return {**{name: document[name] for name in KEY}, "$or": [*self._outdated, *also]}

    def _change(self, document: Document, insert: bool) -> dict[str, Any]:
        values = {name: value for name, value in document.items() if name not in KEY}
        change: dict[str, Any] = {"$set": {**values, "updatedAt": self._calculated_at}}
        if insert:
            change["$setOnInsert"] = {"createdAt": self._calculated_at}
        return change

    def _send(self, documents: _Documents, operation: _Operation) -> tuple[WriteResult, list[Document]]:
        """Send `documents`; returns the counts, and the documents that a duplicate key refused."""
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
                result, again, refused = _sort_out(error, pending)
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
        """Halve `documents` until the one that cannot be encoded, and so stops its whole bulk, is alone."""
        if len(documents) == 1:
            reason = f"cannot be encoded ({type(error).__name__})"
            return WriteResult(failed=(FailedWrite(documents[0], reason),)), []
        middle = len(documents) // 2
        first, refused = self._send(documents[:middle], operation)
        second, more = self._send(documents[middle:], operation)
        return first + second, refused + more


def _examples(documents: _Documents, inserted: Mapping[int, Any]) -> dict[str, tuple[Document, ...]]:
    """Returns a few documents of a bulk without errors; one that was not in `inserted` was updated."""
    new = tuple(documents[index] for index in list(inserted)[:EXAMPLES_EACH])
    others = (document for index, document in enumerate(documents) if index not in inserted)
    found = {"insert": new, "update": tuple(islice(others, EXAMPLES_EACH))}
    return {kind: some for kind, some in found.items() if some}


def _sort_out(
    error: BulkWriteError, documents: _Documents
) -> tuple[WriteResult, list[Document], list[Document]]:
    """Returns the counts of a bulk with errors, the documents to send again, those with duplicate keys."""
    again, duplicates, failed = [], [], []
    for entry in write_errors(error):
        document = documents[entry["index"]]
        # If another program's index refused it (newer servers say which), it would be refused each time.
        ours = set(entry.get("keyPattern", KEY)) == set(KEY)
        if entry.get("code") == DUPLICATE_KEY and ours:
            duplicates.append(document)
        elif is_transient_write(entry):
            again.append(document)
        else:
            failed.append(FailedWrite(document, f"refused by the server (code {entry.get('code')})"))
    counts = WriteResult(error.details["nUpserted"], error.details["nMatched"], failed=tuple(failed))
    return counts, again, duplicates
