"""Documents that are ready, written as the results of a calculation are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from contracts import Clock, WriteResult
from contracts.health import ResultKey
from sinks.health.newer_wins import NewerWins
from tests.support.compare import RUN_FIELDS


class ReadyResults:
    """`documents` as contracts.health.Results; each gets the hash of its content."""

    def __init__(self, documents: Iterable[dict[str, Any]]) -> None:
        self._documents = [
            {**one, "metadata": {**one.get("metadata", {}), "contentHash": content_hash(one)}}
            for one in documents
        ]
        self.keys: list[ResultKey] = [
            (one["userId"], one["timeRange"], one["metricType"]) for one in self._documents
        ]
        self.hashes = [one["metadata"]["contentHash"] for one in self._documents]

    def documents(self, rows: Iterable[int]) -> list[dict[str, Any]]:
        """Those of `rows`."""
        return [self._documents[row] for row in rows]


def content_hash(document: dict[str, Any]) -> str:
    """Equal for documents that differ at most in the fields of the run."""
    content = sorted((name, repr(value)) for name, value in document.items() if name not in RUN_FIELDS)
    return hashlib.sha256(repr(content).encode()).hexdigest()[:32]


def write_documents(
    collection: Collection[dict[str, Any]],
    documents: Iterable[dict[str, Any]],
    users: Sequence[ObjectId],
    calculated_at: datetime,
    clock: Clock,
    **options: Any,
) -> WriteResult:
    """Write `documents` of `users` as write_newer does; `options` are those of NewerWins."""
    writer = NewerWins(collection, calculated_at, clock, **options)
    total = writer.write(ReadyResults(documents))
    return total + WriteResult(deleted=writer.remove_others(users))
