"""A backend that never rests: edits, late commits, ties, deletions and nonsense.

Each write is repeated until the server has acknowledged it within the poll's overlap, with a new `updatedAt`
each time: what is promised to the service holds, and its source is known exactly whatever the server does.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from bson import ObjectId
from pymongo import DeleteOne, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from tests.chaos.journal import Committed, Journal
from tests.support.strategies import new_id, random_documents

Document = dict[str, Any]

OVERLAP_SECONDS = 30
# Below the overlap by more than a write takes; a write that takes longer is repeated.
_LATEST_SECONDS = 24.0
_EARLIEST_SECONDS = 1.5
# A history recomputes its user whole, so a lost change shows only if it was the user's last: most people are
# written to seldom. The others have histories long enough for every formula.
_DAYS = 30
_SELDOM_DAYS = 6
_SELDOM_TIMES = 10
_WEIGHTS = {"late commit": 3}
_BAD_VALUES: tuple[Any, ...] = ("many", float("nan"), float("inf"), -5, 10**9, True, {"value": 3}, [1])
# Its last update is what a loop waits for. The greatest id is worked on last.
MARKER_USER = ObjectId("f" * 24)
_MARKER_ID = ObjectId("e" * 24)


class HealthWriter:
    """Writes to the source collection from a thread of its own, until `stop`."""

    def __init__(
        self, source: Collection[Document], journal: Journal, seed: int, often: int = 3, messy: int = 2
    ) -> None:
        self._source = source
        self._journal = journal
        self._rng = random.Random(f"writer {seed}")
        self._often = [new_id(self._rng) for _ in range(often)]
        self._seldom = [new_id(self._rng) for _ in range(_SELDOM_TIMES * often)]
        self._clean = [*self._often, *self._seldom]
        # Only these have bad values. Their letters are retried all the time, which would hide a lost change.
        self._messy = [new_id(self._rng) for _ in range(messy)]
        self.documents: dict[Any, Document] = {}
        self.counts: Counter[str] = Counter()
        self._newest = _now()
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._closed = threading.Event()
        self._kinds: dict[str, Callable[[], None]] = {
            "edit": self._edit,
            "late commit": self._late,
            "early clock": self._early,
            "tie": self._tie,
            "deletion": self._delete,
            "bad value": self._spoil,
            "mended": self._mend,
            "metric emptied": self._empty,
        }

    def backfill(self) -> None:
        """The past: clean users, and messy ones with everything that strategies.py can think of."""
        today = _now().date()
        # Not up to today: what counts as a future day would depend on the hour.
        messy = random_documents(self._rng, self._messy, _DAYS, today - timedelta(days=4))
        # Of those above not one may belong to a user whose id is as it should be.
        messy += [self._document(user, 5) for user in self._messy]
        clean = [self._document(user, day) for user in self._clean for day in range(self._days_of(user))]
        self._source.insert_many([*messy, *clean])
        acknowledged = _now()
        for document in [*messy, *clean]:
            self.documents[document["_id"]] = document
            if isinstance(document.get("updatedAt"), datetime) and isinstance(
                document.get("userId"), ObjectId
            ):
                moment = document["updatedAt"]
                entry = Committed(document["userId"], moment, moment, acknowledged)
                self._journal.add(document["_id"], entry)

    def run(self, pause_seconds: tuple[float, float] = (0.05, 0.35)) -> threading.Thread:
        """Start writing; the thread ends soon after `stop`."""

        def work() -> None:
            while not self._stop.wait(self._rng.uniform(*pause_seconds)):
                kind = self._rng.choices(list(self._kinds), [_WEIGHTS.get(name, 1) for name in self._kinds])[
                    0
                ]
                with self._turn:
                    self._kinds[kind]()
                self.counts[kind] += 1

        self._stop.clear()
        thread = threading.Thread(target=work, name="writer")
        thread.start()
        return thread

    def stop(self) -> None:
        """Let the running write be the last."""
        self._stop.set()

    def close(self) -> None:
        """Give up, also in the middle of a write."""
        self._stop.set()
        self._closed.set()

    def paused(self) -> threading.Lock:
        """While it is held nothing is written."""
        return self._turn

    def mark(self) -> datetime:
        """Write one more document, dated later than all others, and return that date."""
        document = self.documents.get(_MARKER_ID) or self._document(MARKER_USER, 0) | {"_id": _MARKER_ID}
        document["metrics"] = {"steps": self._rng.randrange(10_000)}
        self._commit([document], lambda: max(_now(), self._newest + timedelta(milliseconds=1)))
        return self._newest

    # --- the kinds of writes ----------------------------------------------------------------------

    def _edit(self) -> None:
        self._commit([self._edited()], _now)

    def _late(self) -> None:
        late = timedelta(seconds=self._rng.uniform(0, _LATEST_SECONDS))
        self._commit([self._edited()], lambda: _now() - late)

    def _early(self) -> None:
        early = timedelta(seconds=self._rng.uniform(0, _EARLIEST_SECONDS))
        self._commit([self._edited()], lambda: _now() + early)

    def _tie(self) -> None:
        edited = {document["_id"]: document for document in (self._edited() for _ in range(24))}
        self._commit(list(edited.values()), lambda: _now().replace(microsecond=0))

    def _delete(self) -> None:
        """A day goes, and another day of the same user is edited: that edit is what heals the deletion."""
        user = self._rng.choice(self._clean)
        days = [document for document in self.documents.values() if document.get("userId") == user]
        if len(days) > 2:
            gone, edited = self._rng.sample(days, 2)
            self._commit([self._changed(edited)], _now, gone=gone["_id"])

    def _spoil(self) -> None:
        document = self._rewritten()
        document["metrics"][self._rng.choice(list(document["metrics"]))] = self._rng.choice(_BAD_VALUES)
        self._commit([document], _now)

    def _mend(self) -> None:
        self._commit([self._rewritten()], _now)

    def _rewritten(self) -> Document:
        """A messy user's document with good content."""
        chosen = self._rng.choice([d for d in self.documents.values() if d.get("userId") in self._messy])
        return self._document(chosen["userId"], self._rng.randrange(1, _DAYS)) | {"_id": chosen["_id"]}

    def _empty(self) -> None:
        """The user's only weight goes or comes: analytics documents must disappear or appear."""
        user = self._rng.choice(self._clean)
        document = next(d for d in self.documents.values() if d.get("userId") == user)
        changed = self._changed(document)
        changed["metrics"]["weight"] = self._rng.choice((None, 70.5))
        self._commit([changed], _now)

    # --- how they are written ---------------------------------------------------------------------

    def _edited(self) -> Document:
        """A new document, or a new version of one, of a clean user."""
        user = self._rng.choice(self._clean)
        day = self._rng.randrange(self._days_of(user) + 3)
        same = [d for d in self.documents.values() if d.get("userId") == user and d["date"] == _day(day)]
        return self._changed(same[0]) if same else self._document(user, day)

    def _days_of(self, user: ObjectId) -> int:
        return _DAYS if user in self._often else _SELDOM_DAYS

    def _changed(self, document: Document) -> Document:
        return document | {"metrics": self._metrics()}

    def _document(self, user: ObjectId, age: int) -> Document:
        return {
            "_id": new_id(self._rng),
            "userId": user,
            "date": _day(age),
            "source": "manual",
            "metrics": self._metrics(),
            "updatedAt": _now() - timedelta(days=1),
        }

    def _metrics(self) -> Document:
        return {
            "steps": self._rng.randrange(20_000),
            "sleepHours": self._rng.choice((None, round(self._rng.gauss(7, 1), 2))),
            "hydration": round(self._rng.uniform(0, 4), 3),
        }

    def _commit(self, documents: Sequence[Document], date: Callable[[], datetime], gone: Any = None) -> None:
        """Write until it is acknowledged in time; `date` is asked anew for each try."""
        users = {document["userId"] for document in documents}
        ids = [document["_id"] for document in documents] + ([] if gone is None else [gone])
        with self._journal.writing(ids, users):
            while not self._closed.is_set() and not self._try(
                documents, self._new_date(documents, date), gone
            ):
                time.sleep(0.1)
        if gone is not None:
            del self.documents[gone]

    def _new_date(self, documents: Sequence[Document], date: Callable[[], datetime]) -> datetime:
        """In milliseconds, and never one that a document has: `(_id, updatedAt)` names a version."""
        moment = _milliseconds(date())
        stored = {self.documents.get(document["_id"], {}).get("updatedAt") for document in documents}
        return _now() if moment in stored else moment

    def _try(self, documents: Sequence[Document], updated: datetime, gone: Any) -> bool:
        self._newest = max(self._newest, updated)
        for document in documents:
            document["updatedAt"] = updated
        requests: list[Any] = [ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in documents]
        if gone is not None:
            requests.insert(0, DeleteOne({"_id": gone}))
        began = _now()
        try:
            self._source.bulk_write(requests)
        except PyMongoError:
            return False
        acknowledged = _now() + timedelta(milliseconds=1)
        if acknowledged > updated + timedelta(seconds=OVERLAP_SECONDS):
            return False
        for document in documents:
            self.documents[document["_id"]] = document
            self._journal.add(document["_id"], Committed(document["userId"], updated, began, acknowledged))
        return True


def _day(age: int) -> datetime:
    today = _now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=age)


def _now() -> datetime:
    return _milliseconds(datetime.now(timezone.utc))


def _milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
