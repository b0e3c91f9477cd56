"""Random schedules of writes, polls and crashes, and a service that follows them, for tests of the poll."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from hypothesis import strategies as st
from pymongo.collection import Collection

from sources.health.poll import MongoPoll
from sources.health.poll_page import PollPage

OVERLAP_SECONDS = 1
# A grid much coarser than the schedules are long, so that many documents share a timestamp.
GRID_MS = 250
START = datetime(2026, 1, 1, tzinfo=timezone.utc)

Key = tuple[bytes, datetime]
Action = tuple[Any, ...]
_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(uuid_representation=UuidRepresentation.STANDARD)


def key_of(document_id: Any, updated: datetime) -> Key:
    """A version, comparable whatever the type of its `_id`."""
    return bson.encode({"": document_id}, codec_options=_OPTIONS), updated


def schedules(ids: Sequence[Any], crashes: bool) -> st.SearchStrategy[list[Action]]:
    """Lists of actions: `write` (which id, lateness up to the overlap in steps), `wait`, `poll`, `delete`.

    A poll stops after some pages; with `crashes` it may end as a crash before or after the cursor was saved.
    """
    latest = OVERLAP_SECONDS * 1000 // GRID_MS
    # The extremes are where a wrong bound shows.
    lateness = st.one_of(st.sampled_from([0, latest]), st.integers(0, latest))
    write = st.tuples(st.just("write"), st.integers(0, len(ids) - 1), lateness)
    wait = st.tuples(st.just("wait"), st.integers(1, 6))
    delete = st.tuples(st.just("delete"), st.integers(0, len(ids) - 1))
    endings = ["finish", "finish", "stop", *(["crash_unsaved", "crash_saved"] if crashes else [])]
    between = st.lists(write, max_size=2)
    poll = st.tuples(st.just("poll"), st.sampled_from(endings), st.integers(0, 3), between)
    return st.lists(st.one_of(write, write, write, wait, poll, poll, delete), min_size=1, max_size=30)


class Service:
    """Polls as the pipeline does, on a world whose clock it owns."""

    def __init__(self, collection: Collection[dict[str, Any]], ids: Sequence[Any], page_size: int) -> None:
        self.collection = collection
        self.ids = ids
        self.page_size = page_size
        self.now = START
        self.cursor = START - timedelta(days=1)
        self.delivered: Counter[Key] = Counter()
        self.written: Counter[Key] = Counter()
        self._versions: dict[int, datetime] = {}
        self._start()

    def run(self, actions: Sequence[Action]) -> None:
        """Follow the schedule, then poll until everything due was offered."""
        steps: dict[str, Callable[..., None]] = {
            "write": self.write,
            "wait": self.wait,
            "delete": self.delete,
            "poll": self.poll,
        }
        for name, *arguments in actions:
            steps[name](*arguments)
        self.poll("finish", 0, [])

    def write(self, which: int, steps_late: int) -> None:
        """A commit that becomes visible now with an updatedAt up to the overlap ago."""
        updated = self.now - timedelta(milliseconds=GRID_MS * steps_late)
        document = {"_id": self.ids[which], "userId": bson.ObjectId(), "updatedAt": updated}
        if self._versions.get(which) != updated:
            self.written[key_of(self.ids[which], updated)] += 1
        self._versions[which] = updated
        # mongomock cannot replace by some ids that it can delete and insert.
        self.collection.delete_one({"_id": self.ids[which]})
        self.collection.insert_one(document)

    def wait(self, steps: int) -> None:
        """Time passes."""
        self.now += timedelta(milliseconds=GRID_MS * steps)

    def delete(self, which: int) -> None:
        """A document goes; the poll owes nothing for it."""
        self.collection.delete_one({"_id": self.ids[which]})
        self._versions.pop(which, None)

    def poll(self, ending: str, pages: int, between: Sequence[Action]) -> None:
        """One drain; for another ending than `finish` it ends so at page number `pages`."""
        for number, page in enumerate(self.drain()):
            self.check(page)
            self.delivered.update(key_of(*key) for key in page.keys)
            if ending == "crash_unsaved" and number == pages:
                self._start()
                return
            assert page.newest is not None
            self.cursor = max(self.cursor, page.newest)
            if ending == "crash_saved" and number == pages:
                self._start()
                return
            self.poller.mark_done(page)
            for _, which, late in between:
                self.wait(1)
                self.write(which, late)
            if ending == "stop" and number == pages:
                return

    def drain(self) -> Iterator[PollPage]:
        """The pages up to now."""
        return self.poller.begin(self.cursor, self.now)

    def check(self, page: PollPage) -> None:
        """What holds for every page."""
        assert 1 <= len(page.keys) <= self.page_size
        assert page.newest == max(updated for _, updated in page.keys)
        assert page.newest <= self.now

    def owed(self) -> set[Key]:
        """The versions that are in the database and due."""
        found = self.poller._collection.find({}, {"updatedAt": 1})
        return {key_of(item["_id"], item["updatedAt"]) for item in found if item["updatedAt"] <= self.now}

    def _start(self) -> None:
        self.poller = MongoPoll(self.collection, OVERLAP_SECONDS, self.page_size)
