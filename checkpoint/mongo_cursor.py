"""The cursor in MongoDB, for clusters and network file systems, where a file's lock proves nothing.

One document holds the position, the generation before, the notes, and a lease by the server's clock. Each
holder of the lease has a number of its own (the fence), greater than that of all before; whatever is written
here compares it, so an instance that was stalled beyond its lease changes nothing when it wakes up.

Such an instance can still write analytics that it computed before. They carry the time at which it read, so
newer results stay (newer wins), and it overwrites only older ones. It may revive a document whose key the new
holder deleted as no longer produced. The user's next change, or a full pass, heals that.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import ReadPreference, ReturnDocument, WriteConcern
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from checkpoint.store import ATTEMPTS, CursorState, checked, default_start
from checkpoint.timestamp_text import format_timestamp, parse_timestamp
from contracts import AlreadyRunningError

_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, tzinfo=timezone.utc, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)
# A person may have left anything in the lease; what is no date and no number counts as absent.
_UNTIL = {"$cond": [{"$eq": [{"$type": "$lease.until"}, "date"]}, "$lease.until", _LONG_AGO]}
_FREE = {"$lte": [_UNTIL, "$$NOW"]}
_IS_NUMBER = {"$in": [{"$type": "$lease.fence"}, ["int", "long"]]}
# A number near the end of 64 bits would no longer grow by one.
_FENCE = {"$cond": [{"$and": [_IS_NUMBER, {"$lt": ["$lease.fence", 2**62]}]}, "$lease.fence", 0]}


class MongoCursor:
    """The cursor in the document `name` of `collection`; absent means `default_days` ago.

    pymongo's connection errors pass through everywhere.
    """

    def __init__(
        self, collection: Collection[dict[str, Any]], name: str, default_days: int, lease_seconds: float
    ) -> None:
        # Majority, so that no election takes back what was acknowledged.
        self._collection = collection.with_options(_OPTIONS, ReadPreference.PRIMARY, WriteConcern("majority"))
        self._key = {"_id": name}
        self._default_age = timedelta(days=default_days)
        self._lease_seconds = lease_seconds
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._fence: int | None = None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lease, renewed in the background, and give it back at the end.

        The lease of an instance that died is waited for. Raises AlreadyRunningError when its holder lives.
        """
        self._acquire()
        ended = threading.Event()
        renewal = threading.Thread(target=self._renew_until, args=(ended,), name="lease", daemon=True)
        renewal.start()
        try:
            yield
        finally:
            ended.set()
            renewal.join(self._lease_seconds)
            with suppress(PyMongoError):
                self._collection.update_one(self._mine(), {"$set": {"lease.until": _LONG_AGO}})

    def read(self, now: datetime) -> CursorState:
        """The position to go on from, never after `now`.

        Something that is no time is set aside in the field `corrupt`, and the previous generation takes its
        place. Raises AlreadyRunningError when another instance has taken over.
        """
        document = self._collection.find_one(self._key) or {}
        if self._fence is not None and _lease(document).get("fence") != self._fence:
            self._take_back()
            document = self._collection.find_one(self._key) or {}
        return self._state(document, now, recover=True)

    def peek(self, now: datetime) -> CursorState:
        """What `read` would return; changes nothing."""
        return self._state(self._collection.find_one(self._key) or {}, now, recover=False)

    def _state(self, document: Mapping[str, Any], now: datetime, recover: bool) -> CursorState:
        if document.get("timestamp") is None:
            return CursorState(default_start(now, self._default_age), "default", None)
        value, previous = document["timestamp"], _moment(document.get("previous"))
        timestamp = _moment(value)
        if timestamp is None:
            if recover:
                self._set_aside(value, previous)
            return self._damaged(
                previous,
                now,
                "was not a time and is now in its field `corrupt`" if recover else "is not a time",
            )
        return checked(timestamp, previous, "mongo", _raw(value), now)

    def save(self, timestamp: datetime, expected: CursorState, now: datetime) -> CursorState | None:
        """Move on to `timestamp`, never back and never after `now`; None when a person changed the position.

        Pass as `expected` the result of the last `read` or `save`. Raises AlreadyRunningError when another
        instance has taken over.
        """
        target = max(min(timestamp, now), expected.timestamp)
        # Null stands for both nothing and no such field.
        found = None if expected.raw is None else bson.decode(expected.raw, _OPTIONS)[""]
        before = target if expected.raw is None else expected.timestamp
        answer = self._collection.update_one(
            {**self._mine(), "timestamp": {"$eq": found}}, {"$set": {"timestamp": target, "previous": before}}
        )
        if answer.matched_count:
            return CursorState(target, "mongo", _raw(target))
        if self._collection.count_documents(self._mine(), limit=1) == 0:
            self._take_back()
        return None

    def set(self, timestamp: datetime, now: datetime) -> None:
        """Go on from `timestamp` (at most `now`), also if the value is damaged later: a person's order."""
        target = min(timestamp, now)
        self._collection.update_one(
            self._key, {"$set": {"timestamp": target, "previous": target}}, upsert=True
        )

    def reset(self) -> None:
        """Forget the position, so that the next read is the default."""
        self._collection.update_one(self._key, {"$unset": {"timestamp": "", "previous": ""}})

    def read_notes(self, topic: str = ATTEMPTS) -> dict[str, Any]:
        """Returns the notes on `topic` that `write_notes` stored last; empty without any or damaged ones."""
        field = _notes_field(topic)
        notes = (self._collection.find_one(self._key, {field: 1}) or {}).get(field)
        return notes if isinstance(notes, dict) else {}

    def write_notes(self, notes: Mapping[str, Any], topic: str = ATTEMPTS) -> None:
        """Replace the notes on `topic`; empty `notes` remove them.

        Raises AlreadyRunningError when another instance has taken over: before anything is computed.
        """
        field = _notes_field(topic)
        change = {"$set": {field: dict(notes)}} if notes else {"$unset": {field: ""}}
        if self._collection.update_one(self._mine(), change).matched_count == 0:
            self._take_back()
            self._collection.update_one(self._mine(), change)

    def _mine(self) -> dict[str, Any]:
        return {**self._key, "lease.fence": self._fence}

    def _set_aside(self, value: Any, previous: datetime | None) -> None:
        change: dict[str, Any] = {"$set": {"corrupt": value}}
        if previous:
            change["$set"]["timestamp"] = previous
        else:
            change["$unset"] = {"timestamp": ""}
        # A person who has just mended it wins.
        self._collection.update_one({**self._key, "timestamp": {"$eq": value}}, change)

    def _damaged(self, previous: datetime | None, now: datetime, fault: str) -> CursorState:
        """The state that takes the place of something that is no time."""
        timestamp = previous or default_start(now, self._default_age)
        origin: Literal["previous", "default"] = "previous" if previous else "default"
        source = "the previous generation, " if previous else "the default, "
        warning = (
            f"The cursor in {self._collection.name} {fault}; going on from "
            f"{source}{format_timestamp(timestamp)}"
        )
        state = checked(timestamp, None, origin, _raw(previous) if previous else None, now)
        return CursorState(state.timestamp, origin, state.raw, (warning, *state.warnings))

    def _acquire(self) -> None:
        with suppress(DuplicateKeyError):
            self._collection.insert_one(dict(self._key))
        first: Any = None
        # Whether a lease has ended says the server's clock, which an update with a pipeline knows.
        while not self._take(_FREE, {"$add": [_FENCE, 1]}):
            lease = _lease(self._collection.find_one(self._key) or {})
            until = lease.get("until")
            if first is not None and until != first:
                raise AlreadyRunningError(
                    f"Another instance ({lease.get('owner')}) is running on this checkpoint. Stop it first, "
                    "or give this one another MONGO_DB_NAME or ANALYTICS_COLLECTION."
                )
            first = until
            time.sleep(min(1.0, self._lease_seconds / 4))

    def _take(self, condition: Mapping[str, Any], fence: Mapping[str, Any]) -> bool:
        lease = {"owner": {"$literal": self._owner}, "fence": fence, "until": self._end()}
        document = self._collection.find_one_and_update(
            {**self._key, "$expr": condition},
            # Merged, because an array in the lease's place would keep its elements.
            [{"$set": {"lease": {"$mergeObjects": [lease]}}}],
            return_document=ReturnDocument.AFTER,
        )
        if document is not None:
            self._fence = document["lease"]["fence"]
        return document is not None

    def _end(self) -> dict[str, Any]:
        return {"$add": ["$$NOW", round(self._lease_seconds * 1000)]}

    def _renew_until(self, ended: threading.Event) -> None:
        while not ended.wait(self._lease_seconds / 3):
            # The batch reports a server that is away; no other instance can take the lease meanwhile. The
            # next read or save reports a lost lease.
            with suppress(PyMongoError, AlreadyRunningError):
                answer = self._collection.update_one(self._mine(), [{"$set": {"lease.until": self._end()}}])
                if answer.matched_count == 0:
                    self._take_back()

    def _take_back(self) -> None:
        """Hold the lease again after its document was dropped, or an older copy of it restored.

        Its number is then smaller than ours or gone, and it has no holder. Raises AlreadyRunningError when
        another instance has taken over: its number is ours or greater, or its lease has not ended.
        """
        if self._fence is None:
            raise self._taken_over()
        with suppress(DuplicateKeyError):
            self._collection.insert_one(dict(self._key))
        older = {"$lt": [_FENCE, self._fence]}
        taken = self._take({"$and": [_FREE, older]}, {"$literal": self._fence})
        # The thread that renews the lease may have been quicker.
        if not taken and self._collection.count_documents(self._mine(), limit=1) == 0:
            raise self._taken_over()

    def _taken_over(self) -> AlreadyRunningError:
        return AlreadyRunningError(
            "Another instance has taken over this checkpoint, because this one was silent for longer than "
            f"CURSOR_LEASE_SECONDS ({self._lease_seconds:g}). Nothing is lost; it goes on there."
        )


def _moment(value: Any) -> datetime | None:
    """A stored value as a time: a date, or text as people write it; else None."""
    if isinstance(value, datetime):
        return value
    try:
        return parse_timestamp(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _lease(document: Mapping[str, Any]) -> Mapping[str, Any]:
    lease = document.get("lease")
    return lease if isinstance(lease, dict) else {}


def _raw(value: Any) -> bytes:
    return bson.encode({"": value})


def _notes_field(topic: str) -> str:
    return "notes" if topic == ATTEMPTS else f"notes_{topic}"
