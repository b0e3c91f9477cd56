"""What each person was told, and what waits to be told: a document a person beside the results.

It is replaced as a whole, and only as it was read: its `version` is a condition of the write. So what is
known and what waits change together, and of two writers one reads again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

# The one document that is of nobody: up to which calculation all results were looked at.
_MARK: Final = "looked_at"
_AT_ONCE: Final = 100

Document = dict[str, Any]


def told_states(results: Collection[Document]) -> ToldStates:
    """Those beside the collection `results`."""
    return ToldStates(results.database[f"{results.name}_told"])


class ToldStates:
    """The documents of the collection; pymongo's errors pass."""

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection

    def ensure_indexes(self) -> None:
        """Make the indexes by which what is due is found; most people have nothing that is."""
        self._collection.create_index("due", sparse=True)
        self._collection.create_index("silentAt", sparse=True)

    @property
    def name(self) -> str:
        """The collection's."""
        return self._collection.name

    def require_rights(self) -> None:
        """Ask for all that is done here, and change nothing but the indexes. Raises OperationFailure."""
        self.ensure_indexes()
        self._collection.find_one({"_id": _MARK}, {"_id": 1})
        self._collection.update_one({"_id": _MARK, "at": {"$exists": False}}, {"$set": {"checked": True}})

    def read(self, user: ObjectId) -> Document:
        """The document of `user`; one without a version where there is none."""
        return self._collection.find_one({"_id": user}) or {"_id": user}

    def write(self, document: Document) -> bool:
        """Store `document` in place of the one that was read; False where that was replaced meanwhile."""
        version = document.get("version")
        stored = {**document, "version": (version or 0) + 1}
        if version is None:
            try:
                self._collection.insert_one(stored)
            except DuplicateKeyError:
                return False
            return True
        found = {"_id": document["_id"], "version": version}
        return self._collection.replace_one(found, stored).matched_count == 1

    @property
    def full_name(self) -> str:
        """Database and collection."""
        return self._collection.full_name

    def count(self, user: ObjectId) -> int:
        """1 if something is known of `user`, else 0."""
        return self._collection.count_documents({"_id": user})

    def forget(self, user: ObjectId) -> int:
        """Remove what is known of `user`, and what waits; returns how many documents that were."""
        return self._collection.delete_many({"_id": user}).deleted_count

    def due(self, now: datetime) -> list[Document]:
        """Some of those for whom something waits whose time has come, the longest first."""
        return list(self._collection.find({"due": {"$lte": now}}).sort("due", 1).limit(_AT_ONCE))

    def next_due(self) -> datetime | None:
        """When the next time comes, None where nothing waits."""
        first = self._collection.find_one({"due": {"$exists": True}}, {"due": 1}, sort=[("due", 1)])
        return None if first is None else first["due"]

    def silent(self, midnight: datetime) -> list[Document]:
        """Some of those of whom a metric is silent for long enough on the day of `midnight`."""
        return list(self._collection.find({"silentAt": {"$lte": midnight}}).limit(_AT_ONCE))

    def waiting(self) -> int:
        """How many people have something that waits."""
        return self._collection.count_documents({"due": {"$exists": True}})

    def looked_at(self) -> datetime | None:
        """Up to which calculation all results were looked at; None before the first time."""
        found = self._collection.find_one({"_id": _MARK})
        at = found and found.get("at")
        return at if isinstance(at, datetime) else None

    def note_looked_at(self, moment: datetime) -> None:
        """Note that all results of calculations up to `moment` were looked at."""
        self._collection.update_one({"_id": _MARK}, {"$max": {"at": moment}}, upsert=True)


def users_calculated_since(results: Collection[Document], moment: datetime) -> Iterator[ObjectId]:
    """The users with results calculated at `moment` or later, some of them more than once."""
    found = results.find({"timeRange": "90day", "calculatedAt": {"$gte": moment}}, {"userId": 1})
    for one in found:
        if isinstance(one["userId"], ObjectId):
            yield one["userId"]
