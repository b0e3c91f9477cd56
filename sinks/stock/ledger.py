"""The stock ledger: which batch may write, so that every invoice is added to the totals once.

One document. Its `number` counts our own batches and never falls, whatever happens to Spark's checkpoint. A
batch is opened under the next number and its invoices are stored with it. It is sealed when the server has
confirmed them all: from then on no invoice can join the number. Only a sealed batch is added to totals, to
each whose `applied` is lower; then it is closed.

What is found open was left by a process, or a try, that failed. A sealed batch is finished. The number of
another is given up: an insert that was on its way may still arrive under it, so nothing is ever counted under
such a number; its invoices, early or late, are moved to a new one, and counted with that. Only after this is
the ledger settled, and only with a `Settled` can a process open a batch or recount.

`fence` names the process that may write. A process puts its own there when it starts; from then on any other
is refused as soon as it opens, seals or closes a batch. One that starts while the `holder` of the fence
lives, which `beats` tell, is refused itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pymongo
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError

from contracts import AlreadyRunningError, BatchKey
from contracts.versions import require_known
from sinks.stock.holder import BEAT_SECONDS, SILENT_SECONDS, beating, has_ended, this_process

COLLECTION = "stock_ledger"
# Each brings the database from the version of its place, from 1, to the next, also when it is called again
# after it was interrupted; none that has landed changes.
MIGRATIONS: tuple[Callable[[Database[dict[str, Any]]], None], ...] = ()
_KEY = {"_id": "ledger"}
# The next batch notices a late insert of one of the last 1,000 failed tries, a recount that of an older one.
_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch whose invoices are being stored under `number`; `first` was the number of its first try."""

    number: int
    first: int


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """A batch that has all the invoices it will ever have, and may be added to totals."""

    number: int
    first: int


@dataclass(frozen=True, slots=True)
class DoneBatch:
    """A batch that was done before, with the `outcome` that `close` stored."""

    outcome: Mapping[str, Any]
    reported: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """The ledger when every stored invoice is in the totals, but for those under a number of `given_up`.

    `number` is the last one used; `notes` has the values of `note`.
    """

    number: int
    given_up: frozenset[int]
    notes: Mapping[str, Any]
    _last: Mapping[str, Any]

    def done(self, key: BatchKey) -> DoneBatch | None:
        """Returns the batch `key` if it was done before, else None."""
        if self._is_last(key) and self._last.get("outcome") is not None:
            return DoneBatch(self._last["outcome"], self._last["reported"])
        return None

    def first(self, key: BatchKey | None) -> int:
        """The least number under which a try of this batch may have written something."""
        return int(self._last["first"]) if key and self._is_last(key) else self.number + 1

    def _is_last(self, key: BatchKey) -> bool:
        return (self._last.get("query_id"), self._last.get("batch_id")) == (key.query_id, key.number)


class StockLedger:
    """One process's hold on the ledger. pymongo's errors pass through everywhere.

    Everything that writes raises AlreadyRunningError when another process has taken over, and StaleReadError
    when the ledger is not as it was read. Each change applies to one state alone, so that a command which
    arrives late changes nothing.
    """

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._documents = database[COLLECTION]
        self._fence = secrets.token_hex(8)

    def take_over(self, last_number: Callable[[], int]) -> bool:
        """Become the only process that may write; a new ledger goes on from `last_number`.

        So does one that is older than the invoices, as after a restored backup: returns True then. Waits
        until it is known whether the process that held it lives, and raises AlreadyRunningError if it does,
        ConfigurationError where a newer version of this program has written.
        """
        mine: dict[str, Any] = {"fence": self._fence, "holder": this_process(), "beats": 0}
        found = self._listen()
        version = require_known_stock(found)
        last = last_number()
        if found is None:
            try:
                made = {"number": last, "first": 0, "open": False, "version": version}
                self._documents.insert_one({**_KEY, **mine, **made})
            except DuplicateKeyError as error:
                raise StaleReadError("the ledger was made in this moment") from error
            return False
        before = {**_KEY, "fence": found["fence"]}
        is_older = last > int(found["number"])
        if is_older:
            mine |= {"number": last, "open": False}
            # Else it is no older one: its process has opened the next batch in this moment.
            before["number"] = found["number"]
        if self._documents.update_one(before, {"$set": mine}).matched_count == 0:
            raise StaleReadError("another process took over in this moment")
        for migrate in MIGRATIONS[version - 1 :]:
            migrate(self._documents.database)
            version += 1
            self._set({}, {"version": version})
        return is_older

    @contextmanager
    def held(self) -> Iterator[None]:
        """Tell others that the holder lives, inside the block; after it the next one need not wait."""
        mine = {**_KEY, "fence": self._fence}
        with beating(lambda: self._documents.update_one(mine, {"$inc": {"beats": 1}}), BEAT_SECONDS):
            yield
        with suppress(PyMongoError), pymongo.timeout(BEAT_SECONDS):
            self._documents.update_one(mine, {"$unset": {"holder": ""}})

    def find(self) -> dict[str, Any] | None:
        """The ledger as it is, whoever's; None in a new database."""
        return self._documents.find_one(_KEY)

    def _listen(self) -> Mapping[str, Any] | None:
        """The ledger, once its holder has ended or was silent."""
        found = self.find()
        before = found or {}
        ends = time.monotonic() + SILENT_SECONDS
        while found is not None and self._may_live(found) and time.monotonic() < ends:
            if (found["fence"], found.get("beats")) != (before["fence"], before.get("beats")):
                holder = found["holder"]
                raise AlreadyRunningError(
                    f"Another stock pipeline runs on this database, process {holder.get('pid')} on "
                    f"{holder.get('host')}. Stop it first, or give this one another STOCK_DB_NAME."
                )
            time.sleep(BEAT_SECONDS / 4)
            found = self.find()
        return found

    def _may_live(self, found: Mapping[str, Any]) -> bool:
        # A program before this one did not beat.
        holder = found.get("holder")
        return found["fence"] != self._fence and isinstance(holder, Mapping) and not has_ended(holder)

    def read(self) -> OpenBatch | SealedBatch | Settled:
        """Returns the batch that was left open, or `Settled` when none is: the only way to it."""
        found = self._mine()
        number, first = found["number"], found["first"]
        if not found["open"]:
            return Settled(number, frozenset(found.get("given_up", ())), found.get("notes", {}), found)
        # Programs before this one sealed nothing; what they left open may be in some of the totals.
        return SealedBatch(number, first) if found.get("sealed", True) else OpenBatch(number, first)

    def require(self, settled: Settled) -> None:
        """Raise unless nothing was opened since `settled` was read."""
        found = self._mine()
        if found["open"] or found["number"] != settled.number:
            raise StaleReadError("the ledger moved")

    def open(self, settled: Settled, key: BatchKey | None = None) -> OpenBatch:
        """Open the next number for a batch of Spark, or without `key` for invoices that came late."""
        opened = OpenBatch(settled.number + 1, settled.first(key))
        values: dict[str, Any] = {"number": opened.number, "open": True, "sealed": False}
        if key:
            values |= {"query_id": key.query_id, "batch_id": key.number, "first": opened.first}
            values |= {"outcome": None, "reported": False}
            # Nothing is stored under any of them now, so the oldest may be forgotten.
            values["given_up"] = sorted(settled.given_up)[-_REMEMBERED:]
        self._change(settled.number, {"open": False}, {"$set": values})
        return opened

    def give_up(self, batch: OpenBatch) -> None:
        """Note that nothing will be counted under the number of `batch`."""
        change = {"$set": {"open": False}, "$addToSet": {"given_up": batch.number}}
        self._change(batch.number, {"open": True, "sealed": False}, change)

    def seal(self, batch: OpenBatch) -> SealedBatch:
        """Note that the server has confirmed all invoices under the number of `batch`."""
        self._change(batch.number, {"open": True, "sealed": False}, {"$set": {"sealed": True}})
        return SealedBatch(batch.number, batch.first)

    def close(self, batch: SealedBatch, outcome: Mapping[str, Any] | None = None) -> None:
        """Note that `batch` is in the totals; store its `outcome` when nothing of it is left to do."""
        values = {"open": False} if outcome is None else {"open": False, "outcome": dict(outcome)}
        self._change(batch.number, {"open": True, "sealed": {"$ne": False}}, {"$set": values})

    def mark_reported(self, key: BatchKey) -> None:
        """The last batch was told to log and metrics."""
        self._set({"query_id": key.query_id, "batch_id": key.number}, {"reported": True})

    def note(self, **values: Any) -> None:
        """Remember `values` across restarts, in the `notes` of `Settled`."""
        self._set({}, {f"notes.{name}": value for name, value in values.items()})

    def turn_note(self, name: str, before: int | None, number: int, **values: Any) -> None:
        """Remember `values` with `number` in the note `name`, if that has the number `before`, None without.

        So a command that arrives late changes nothing.
        """
        change = {f"notes.{name}": {"number": number, **values}}
        self._set({f"notes.{name}.number": before}, change)

    def _mine(self) -> dict[str, Any]:
        found = self.find()
        if found is None or found["fence"] != self._fence:
            raise AlreadyRunningError(
                "Another stock pipeline has started on this database and taken over. Nothing is lost; it "
                "goes on there. Run only one, or give this one another STOCK_DB_NAME."
            )
        return found

    def _set(self, condition: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        mine = {**_KEY, "fence": self._fence, **condition}
        if self._documents.update_one(mine, {"$set": dict(values)}).matched_count == 0:
            self._mine()
            raise StaleReadError("the ledger moved")

    def _change(self, number: int, state: Mapping[str, Any], change: Mapping[str, Any]) -> None:
        condition = {**_KEY, "fence": self._fence, "number": number, **state}
        if self._documents.update_one(condition, change).matched_count == 0:
            self._mine()
            # Our own command got through although its answer did not: the retry begins from what is there.
            raise StaleReadError("the ledger moved")


class StaleReadError(Exception):
    """The documents have changed since they were read; the batch is tried again from their present state."""


def require_known_stock(ledger: Mapping[str, Any] | None) -> int:
    """The version of the stock database by its `ledger`; one that has no ledger yet is of the newest.

    Raises ConfigurationError when it is newer than this program.
    """
    newest = 1 + len(MIGRATIONS)
    found = newest if ledger is None else ledger.get("version", 1)
    require_known(found, newest, "The database", "STOCK_DB_NAME")
    return int(found)
