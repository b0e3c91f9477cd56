"""The stock ledger: which batch may write, so that no invoice is ever added to a total twice.

One document. Its `number` counts our own batches and never falls, whatever happens to Spark's checkpoint. A
batch is opened under the next number, its invoices carry that number, its sums are added to each total whose
`applied` is lower, and the batch is closed. A batch that was left open is finished first, from its invoices.

`fence` says who may write: each process that starts takes the next one, and a process with an older one is
refused as soon as it opens or closes a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database

from contracts import AlreadyRunningError

COLLECTION = "stock_ledger"
_KEY = {"_id": "ledger"}


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that may write: invoices from `first` on were written by earlier tries of the same batch."""

    number: int
    first: int


@dataclass(frozen=True, slots=True)
class DoneBatch:
    """A batch that was done before; `outcome` is what `close` was given."""

    outcome: Mapping[str, Any]
    reported: bool


class StockLedger:
    """One process's hold on the ledger. pymongo's errors pass through everywhere."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._documents = database[COLLECTION]
        self._fence: int | None = None

    def take_over(self) -> None:
        """Become the only process that may write."""
        found: Any = self._documents.find_one_and_update(
            _KEY,
            {"$inc": {"fence": 1}, "$setOnInsert": {"number": 0, "first": 0, "open": False}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        self._fence = found["fence"]

    def begin(self, query_id: str, batch_id: int, finish: Callable[[int], None]) -> OpenBatch | DoneBatch:
        """Open a batch of Spark, or tell that it was done before.

        `finish` is given the number of a batch that was left open and must add its sums. Raises
        AlreadyRunningError when another process has taken over.
        """
        self.finish_open(finish)
        found = self._mine()
        same = (found.get("query_id"), found.get("batch_id")) == (query_id, batch_id)
        if same and found.get("outcome") is not None:
            return DoneBatch(found["outcome"], found["reported"])
        number = found["number"] + 1
        first = found["first"] if same else number
        names = {"query_id": query_id, "batch_id": batch_id, "number": number, "first": first}
        self._change(found["number"], False, {**names, "open": True, "outcome": None, "reported": False})
        return OpenBatch(number, first)

    def finish_open(self, finish: Callable[[int], None]) -> None:
        """Let `finish` add the sums of a batch that was left open, and close it."""
        found = self._mine()
        if found["open"]:
            finish(found["number"])
            self._change(found["number"], True, {"open": False})

    def close(self, batch: OpenBatch, outcome: Mapping[str, Any]) -> None:
        """The batch is done. Raises AlreadyRunningError when another process has taken over."""
        self._change(batch.number, True, {"open": False, "outcome": dict(outcome)})

    def mark_reported(self) -> None:
        """The last batch was told to log and metrics."""
        self._change(self._mine()["number"], False, {"reported": True})

    def read_notes(self) -> Mapping[str, Any]:
        """What `note` was given, by name."""
        notes: Mapping[str, Any] = self._mine().get("notes", {})
        return notes

    def note(self, **values: Any) -> None:
        """Remember something across restarts. Raises AlreadyRunningError like `close`."""
        change = {"$set": {f"notes.{name}": value for name, value in values.items()}}
        if self._documents.update_one({**_KEY, "fence": self._fence}, change).matched_count == 0:
            raise _taken_over()

    def _mine(self) -> dict[str, Any]:
        found = self._documents.find_one(_KEY)
        if found is None or found["fence"] != self._fence:
            raise _taken_over()
        return found

    def _change(self, number: int, is_open: bool, values: Mapping[str, Any]) -> None:
        condition = {**_KEY, "fence": self._fence, "number": number, "open": is_open}
        if self._documents.update_one(condition, {"$set": dict(values)}).matched_count == 0:
            self._mine()
            # Our own command got through although its answer did not: the retry begins from what is there.
            raise StaleReadError("the ledger moved")


class StaleReadError(Exception):
    """What was read has changed since; the batch is tried again from what is there now."""


def _taken_over() -> AlreadyRunningError:
    return AlreadyRunningError(
        "Another stock pipeline has started on this database and taken over. Nothing is lost; it goes on "
        "there. Run only one, or give this one another STOCK_DB_NAME."
    )
