"""Newer wins, for each document by itself: written unless the stored one was calculated later.

One atomic insert or conditional upsert per key, in unordered bulks; whatever was read before, concurrent
writers cannot overtake each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from bson.errors import BSONError
from pymongo import InsertOne, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DocumentTooLarge, InvalidOperation

from contracts import EXAMPLES_EACH, Clock, Document, FailedWrite, UnavailableError, WriteResult
from contracts.bson_order import SortKey
from sinks.health.stored_results import (
    ARRAYS_IN_KEY,
    CREATED_AT_NO_DATE,
    KEY,
    Stored,
    delete_arrays,
    key_of,
    outdated,
    stored_under,
)
from sinks.mongo_errors import DUPLICATE_KEY, is_transient_write, write_errors

# What a document causes that BSON or the protocol cannot hold; it stops its whole bulk.
NOT_ENCODABLE = (BSONError, DocumentTooLarge, InvalidOperation, OverflowError)
_TRIES = 6
_WAIT_SECONDS = 0.05
_OTHER_INDEX = f"another unique index refuses it (code {DUPLICATE_KEY})"
# What an upsert must not take for the result of its key, or cannot mend.
_ODD = [*ARRAYS_IN_KEY, CREATED_AT_NO_DATE]
_Documents = Sequence[Document]
_Operation = Callable[[Document], InsertOne[dict[str, Any]] | UpdateOne]


class Upserts:
    """Writes documents that are all of `calculated_at`, in the order of their keys.

    A stored `calculatedAt` later than `clock` tells at that moment, or that is not a date, is wrong and is
    overwritten. Raises pymongo's connection errors, and UnavailableError when transient refusals do not end
    or writes are not confirmed; what a document causes itself is in `failed`, and its old version stays.
    """

    def __init__(self, collection: Collection[dict[str, Any]], calculated_at: datetime, clock: Clock) -> None:
        self._collection = collection
        self._calculated_at = calculated_at
        self._clock = clock
        self._outdated = outdated(calculated_at)

    def insert(self, documents: _Documents) -> WriteResult:
        """Write `documents` for whose keys nothing was found; what is there by now is upserted."""
        result, refused = self._send(documents, self._insertion)
        return result + self.upsert(refused)

    def upsert(self, documents: _Documents) -> WriteResult:
        """Write `documents` where nothing stands, or something older."""
        result, refused = self._send(documents, self._operation)
        if not refused:
            return result
        settled, absent = self._settle(refused)
        if absent:
            settled += self._insert_again(absent)
        return result + settled

    def _settle(self, refused: _Documents) -> tuple[WriteResult, list[Document]]:
        """Update what is older; returns the counts, and the documents with nothing under their own key.

        11000 is not yet a skip: another writer may have inserted an older document after our look, what is
        stored may be dated after now, or another unique index may have refused it.
        """
        if not refused:
            return WriteResult(), []
        stored = self._stored(refused)
        absent = [document for document in refused if key_of(document) not in stored]
        there = [(document, stored[key_of(document)]) for document in refused if key_of(document) in stored]
        older = [document for document, found in there if found.gives_way]
        newer = tuple(document for document, found in there if not found.gives_way)
        again, impossible = self._send(older, partial(self._update_only, stored))
        unmatched = len(older) - again.updated - len(again.failed) - len(impossible)
        if unmatched:
            # Another writer came between: it has stored a newer one, or removed what was there.
            stored = self._stored(older)
            gone = [document for document in older if key_of(document) not in stored][:unmatched]
            absent += gone
            unmatched -= len(gone)
        failed = tuple(FailedWrite(document, _OTHER_INDEX) for document in impossible)
        examples = {"skip": newer[:EXAMPLES_EACH]} if newer else {}
        skipped = WriteResult(skipped=len(newer) + unmatched, failed=failed, examples=examples)
        return again + skipped, absent

    def _stored(self, documents: _Documents) -> dict[SortKey, Stored]:
        return stored_under(self._collection, documents, self._calculated_at, self._clock)

    def _insert_again(self, absent: _Documents) -> WriteResult:
        """Insert what was refused and is not stored, once what answers to its key with an array is gone."""
        removed = delete_arrays(self._collection, absent)
        result, refused = self._send(absent, self._operation)
        settled, lost = self._settle(refused)
        failed = tuple(FailedWrite(document, _OTHER_INDEX) for document in lost)
        return result + settled + WriteResult(deleted=removed, failed=failed)

    def change(self, document: Document) -> dict[str, Any]:
        """The update that leaves `document` under its key."""
        values = {name: value for name, value in document.items() if name not in KEY}
        # An older program kept the figures beside `analytics` too; the client would count them once more.
        twins = {name: "" for name in document.get("analytics", ()) if name not in values}
        change: dict[str, Any] = {"$set": {**values, "updatedAt": self._calculated_at}}
        return {**change, "$unset": twins} if twins else change

    def _insertion(self, document: Document) -> InsertOne[dict[str, Any]]:
        times = dict.fromkeys(("createdAt", "updatedAt"), self._calculated_at)
        # A copy, to which pymongo adds an _id.
        return InsertOne({**document, **times})

    def _operation(self, document: Document) -> UpdateOne:
        change = {**self.change(document), "$setOnInsert": {"createdAt": self._calculated_at}}
        return UpdateOne(self._filter(document, _ODD, self._outdated), change, upsert=True)

    def _update_only(self, stored: Mapping[SortKey, Stored], document: Document) -> UpdateOne:
        """Update `document` without inserting it, also where a wrong date that is `stored` still stands."""
        found = stored[key_of(document)]
        outdated_or_wrong = [*self._outdated, {"calculatedAt": {"$eq": found.date}}]
        change = self.change(document)
        if found.created:
            change["$set"]["createdAt"] = found.created
        return UpdateOne(self._filter(document, ARRAYS_IN_KEY, outdated_or_wrong), change)

    def _filter(self, document: Document, nor: Sequence[Any], any_of: Sequence[Any]) -> dict[str, Any]:
        return {**{name: document[name] for name in KEY}, "$or": any_of, "$nor": nor}

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
            except NOT_ENCODABLE as error:
                result, refused = self._bisect(pending, operation, error)
                return total + result, duplicates + refused
            new = range(len(pending)) if answer.inserted_count else answer.upserted_ids or {}
            counts = WriteResult(answer.inserted_count + answer.upserted_count, answer.matched_count)
            all_done = counts.written == len(pending)
            return total + replace(counts, examples=_examples(pending, new) if all_done else {}), duplicates
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


def _examples(documents: _Documents, inserted: Mapping[int, Any] | range) -> dict[str, tuple[Document, ...]]:
    """Returns a few documents of a bulk without errors; one whose number is not `inserted` was updated."""
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
        if entry.get("code") == DUPLICATE_KEY:
            duplicates.append(document)
        elif is_transient_write(entry):
            again.append(document)
        else:
            failed.append(FailedWrite(document, f"refused by the server (code {entry.get('code')})"))
    inserted = error.details.get("nInserted", 0) + error.details["nUpserted"]
    counts = WriteResult(inserted, error.details["nMatched"], failed=tuple(failed))
    return counts, again, duplicates
