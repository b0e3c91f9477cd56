"""The self-test: the worked example, computed in the user's own database for a user who does not exist.

It takes no cursor and no lock, so a stream may run meanwhile. The documents are dated long before any cursor:
no poll delivers them.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import OperationFailure
from pyspark.sql import SparkSession

from contracts import ConfigurationError
from pipelines.health.recompute.on_driver import UserRecompute
from simulation.health.population import worked_example
from sinks.mongo_errors import is_unauthorized
from sources.mongo_client import MonotonicClock

# An id's first four bytes are its time; of the year 1970 no real one can be. The last four say when the user
# was made, so that what a killed self-test left can be told from what a running one needs.
_PREFIX = b"\0\0\0\0self"
_LONG_AGO = datetime(2000, 1, 1, tzinfo=timezone.utc)
_LEFT_BEHIND_SECONDS = 3_600


@dataclass(frozen=True)
class Outcome:
    """`documents` are the analytics that were computed; all of the user's are gone when `remaining` is 0."""

    user: ObjectId
    documents: list[dict[str, Any]]
    remaining: int


def run_selftest(
    spark: SparkSession,
    source: Collection[dict[str, Any]],
    target: Collection[dict[str, Any]],
    clock: MonotonicClock,
    timezone: str,
    sources: tuple[str, ...],
) -> Outcome:
    """Insert the worked example, recompute its user, read the results, remove both.

    `timezone` and `sources` are the service's: its days, and whose documents count.
    They are removed also after an error, Ctrl+C or SIGTERM; what a kill -9 leaves goes at the next self-test.
    Raises ConfigurationError when the source may not be written.
    """
    made = round(time.time())
    _sweep(source, target, made - _LEFT_BEHIND_SECONDS)
    user = _user(made)
    recompute = UserRecompute(spark, source, target, clock, timezone, sources=sources)
    with _removed_afterwards(lambda: _remove(user, source, target)):
        days = worked_example(user, clock.now().date(), sources[0])
        try:
            source.insert_many([{**day, "updatedAt": _LONG_AGO} for day in days])
        except OperationFailure as error:
            raise _explained(error, source) from None
        recompute.run([user], "selftest", lambda _step: None)
        documents = list(target.find({"userId": user}))
    left = source.count_documents({"userId": user}) + target.count_documents({"userId": user})
    return Outcome(user, documents, left)


def _user(moment: int) -> ObjectId:
    return ObjectId(_PREFIX + moment.to_bytes(4, "big"))


def _sweep(source: Collection[dict[str, Any]], target: Collection[dict[str, Any]], before: int) -> None:
    """Remove what self-tests that were killed before then left, by the indexes on userId."""
    _remove({"$gte": _user(0), "$lt": _user(before)}, source, target)


def _remove(owner: Any, *collections: Collection[dict[str, Any]]) -> None:
    for collection in collections:
        # Who may only read has nothing to remove, and must be told what is missing instead of this.
        if collection.find_one({"userId": owner}, {"_id": 1}):
            collection.delete_many({"userId": owner})


def _explained(error: OperationFailure, source: Collection[dict[str, Any]]) -> Exception:
    if not is_unauthorized(error):
        return error
    return ConfigurationError(
        f"The self-test inserts 14 documents into {source.name} and removes them again, and this user may "
        "not write there. Run it with a user that has readWrite, or against a copy of the database."
    )


@contextmanager
def _removed_afterwards(remove: Callable[[], None]) -> Iterator[None]:
    """Run `remove` however the block ends; SIGTERM ends it like Ctrl+C, and neither disturbs the removal."""
    terminate = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            remove()
        finally:
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGTERM, terminate)
