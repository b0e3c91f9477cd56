"""A change stream of MongoDB as an alarm clock: it wakes the poll, and the poll stays the truth.

What it tells is not read, and its place in the stream is not kept: whatever is lost of it comes with the next
poll, an interval later at the most. It needs a replica set or a sharded cluster.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pymongo.collection import Collection
from pymongo.errors import OperationFailure, PyMongoError

from monitoring.logs import get_logger
from pipelines.engine.stop_flag import StopFlag

logger = get_logger(__name__)

# What a poll can find; of the events only the token travels, which the driver needs.
_PIPELINE: Final[Sequence[Mapping[str, Any]]] = [
    {"$match": {"operationType": {"$in": ["insert", "update", "replace"]}}},
    {"$project": {"_id": 1}},
]
_AWAIT_MS: Final = 1_000
# Answers that waiting does not change: no right, no login, no such command, stage or feature, no replica set.
_FOR_GOOD: Final = frozenset({13, 18, 59, 115, 238, 303, 40324, 40573})
_NO_REPLICA_SET: Final = 40573
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
# A sync writes several documents.
_GATHER_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.5


class ChangeAlarm:
    """Rings when documents of `collection` are written; a thread listens inside `listening`."""

    def __init__(self, collection: Collection[dict[str, Any]]) -> None:
        self._collection = collection
        self._rung, self._ended = threading.Event(), threading.Event()
        self._told = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen inside the block; its end waits for no server."""
        threading.Thread(target=self.listen, name="change-alarm", daemon=True).start()
        try:
            yield
        finally:
            self._ended.set()

    def rings(self, stop: StopFlag, seconds: float) -> bool:
        """Wait for at most `seconds`; whether it rang before that and before `stop`."""
        ends = time.monotonic() + seconds
        while not stop() and (left := ends - time.monotonic()) > 0:
            if self._rung.wait(min(left, _LOOK_SECONDS)):
                stop.wait(_GATHER_SECONDS)
                # Before the poll: what is written meanwhile rings again.
                self._rung.clear()
                return not stop()
        return False

    def listen(self) -> None:
        """Open the stream, and anew whenever it breaks, until the end or an answer that stays."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._ended.is_set():
            try:
                self._follow()
                pause = _FIRST_PAUSE_SECONDS
            except OperationFailure as error:
                if error.code in _FOR_GOOD:
                    self._tell(f"{_cause(error)}; the poll goes on at its interval")
                    return
                # Such as 286, ChangeStreamHistoryLost: there is no place to keep.
                self._tell(f"it broke (code {error.code}) and is opened again")
            except NotImplementedError:
                self._tell("the embedded store has none; the poll goes on at its interval")
                return
            except PyMongoError as error:
                self._tell(f"it broke ({type(error).__name__}) and is opened again")
            self._ended.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _follow(self) -> None:
        """Ring for what comes, until the stream ends, as it does when the collection is dropped."""
        with self._collection.watch(_PIPELINE, max_await_time_ms=_AWAIT_MS) as stream:
            self._told = ""
            # For what was written before it was open.
            self._rung.set()
            while stream.alive and not self._ended.is_set():
                if stream.try_next() is not None:
                    self._rung.set()

    def _tell(self, what: str) -> None:
        """Log once until it is open again."""
        if what != self._told:
            logger.warning(f"⏰ The change stream that wakes the poll: {what}")
        self._told = what


@contextmanager
def waking(
    collection: Collection[dict[str, Any]] | None, work: Callable[[], None], stop: StopFlag, seconds: float
) -> Iterator[Callable[[], None]]:
    """What a trigger does that comes every `seconds`: `work`, also whenever `collection`, if any, changes."""
    if collection is None:
        yield work
        return
    alarm = ChangeAlarm(collection)
    with alarm.listening():
        yield woken(work, alarm, stop, seconds)


def woken(work: Callable[[], None], alarm: ChangeAlarm, stop: StopFlag, seconds: float) -> Callable[[], None]:
    """`work`, and again whenever `alarm` rings before the next trigger, which comes after `seconds`."""

    def tick() -> None:
        ends = time.monotonic() + seconds
        work()
        while alarm.rings(stop, ends - time.monotonic()):
            work()

    return tick


def _cause(error: OperationFailure) -> str:
    if error.code == _NO_REPLICA_SET:
        return "this server is no replica set, so it has none"
    return f"the server refuses it (code {error.code})"
