"""How fast changes and histories are read from a real server."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from benchmarks.figures import Figures
from sources.health.history import read_history
from sources.health.poll import MongoPoll
from sources.mongo_client import PROJECTION

_PAGE = 10_000
_USERS_AT_ONCE = 1_000
_ROUNDS = 3
# The highest published figure for reading MongoDB incrementally is about 27.
LEAST_MB = 30


def undecoded(source: Collection[dict[str, Any]]) -> tuple[int, float]:
    """The BSON bytes of all documents as the service reads them, and the seconds one query takes for them."""
    began = time.perf_counter()
    size = sum(len(batch) for batch in source.find_raw_batches({}, PROJECTION, batch_size=20_000))
    return size, time.perf_counter() - began


def measure_reads(
    source: Collection[dict[str, Any]], users: list[ObjectId], since: datetime, figures: Figures
) -> None:
    """Poll all of `source` as a backlog, then read all histories; the best of three rounds each.

    The last row shows what the server can give.
    """
    documents = source.count_documents({})
    size, seconds_undecoded = min((undecoded(source) for _ in range(_ROUNDS)), key=lambda done: done[1])
    ways = {
        "poll of a backlog": min(_poll(source, since, documents) for _ in range(_ROUNDS)),
        "histories": min(_history(source, users, documents) for _ in range(_ROUNDS)),
        "one query, not decoded": seconds_undecoded,
    }
    rows = [
        [name, f"{documents / seconds:,.0f}", f"{size / seconds / 1e6:.1f}"] for name, seconds in ways.items()
    ]
    figures.table(f"Reading {documents:,} documents, one core", ["what", "documents/s", "MB/s"], rows)
    figures.judge("backlog poll", size / ways["poll of a backlog"] / 1e6, " MB/s", least=LEAST_MB)


def _poll(source: Collection[dict[str, Any]], since: datetime, documents: int) -> float:
    poll = MongoPoll(source, 60, _PAGE)
    began, found = time.perf_counter(), 0
    for page in poll.begin(since, datetime.now(since.tzinfo)):
        found += page.size
        poll.mark_done(page)
    _check(found, documents)
    return time.perf_counter() - began


def _history(source: Collection[dict[str, Any]], users: list[ObjectId], documents: int) -> float:
    began, found = time.perf_counter(), 0
    for start in range(0, len(users), _USERS_AT_ONCE):
        chunk = users[start : start + _USERS_AT_ONCE]
        found += sum(1 for _ in read_history(source, chunk))
    _check(found, documents)
    return time.perf_counter() - began


def _check(found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"{found} documents were read of {expected}: a time would mean nothing")
