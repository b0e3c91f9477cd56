"""Who wrote what when: the writers' own record, by which the cursor's claim is judged."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId


@dataclass(frozen=True)
class Committed:
    """The newest version of one document; `began` and `acknowledged` bracket the moment of its commit."""

    user: ObjectId
    updated: datetime
    began: datetime
    acknowledged: datetime

    def claimed_by(self, cursor: datetime) -> bool:
        """Whether a service whose cursor is there says that it has processed this version.

        It was visible before the poll that ended at the cursor, and it is dated before it. A version dated
        exactly at the cursor may lie on the next page: the poll always begins again at the cursor itself.
        """
        return self.updated < cursor and self.acknowledged <= cursor


class Journal:
    """Thread-safe; a document that is being written has no entry until the server has acknowledged it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._committed: dict[Any, Committed] = {}
        self._busy: Counter[ObjectId] = Counter()

    @contextmanager
    def writing(self, document_ids: Iterable[Any], users: Iterable[ObjectId]) -> Iterator[None]:
        """Withdraw the documents' entries, and hold the users as unsettled inside the block."""
        owners = set(users)
        with self._lock:
            self._busy.update(owners)
            for document_id in document_ids:
                self._committed.pop(document_id, None)
        try:
            yield
        finally:
            with self._lock:
                self._busy.subtract(owners)

    def add(self, document_id: Any, committed: Committed) -> None:
        """The server has acknowledged this version."""
        with self._lock:
            self._committed[document_id] = committed

    def claimed(self, cursor: datetime) -> dict[ObjectId, datetime]:
        """By user the latest `began` of a version that the cursor claims."""
        with self._lock:
            entries = [entry for entry in self._committed.values() if entry.claimed_by(cursor)]
        latest: dict[ObjectId, datetime] = {}
        for entry in entries:
            latest[entry.user] = max(entry.began, latest.get(entry.user, entry.began))
        return latest

    def settled(self, cursor: datetime) -> set[ObjectId]:
        """The users of whom the cursor claims everything, and whom nobody is writing to."""
        with self._lock:
            entries = list(self._committed.values())
            busy = {user for user, count in self._busy.items() if count > 0}
        open_users = {entry.user for entry in entries if not entry.claimed_by(cursor)}
        return {entry.user for entry in entries} - open_users - busy
