"""The full pass: recompute every user, and remove the analytics of users whose data is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from contracts import BatchReport
from pipelines.health.users import Recompute
from sinks.dead_letters import DeadLetters
from sources.mongo_client import MonotonicClock
from sources.mongo_history import all_user_ids

_USERS_PER_PIECE = 500


class FullPass:
    """Heals what the poll cannot see: deleted days, deleted users, documents without `updatedAt`."""

    def __init__(
        self,
        source: Collection[dict[str, Any]],
        target: Collection[dict[str, Any]],
        recompute: Recompute,
        letters: DeadLetters,
        clock: MonotonicClock,
        next_batch_id: Callable[[], str],
        on_report: Callable[[BatchReport], None],
    ) -> None:
        self._source = source
        self._target = target
        self._recompute = recompute
        self._letters = letters
        self._clock = clock
        self._next_batch_id = next_batch_id
        self._on_report = on_report

    def run(self, should_stop: Callable[[], bool], between: Callable[[], object] = lambda: None) -> int:
        """Recompute all users; each piece is reported as a batch. Returns the documents removed.

        `between` is called after each piece.

        A pass that is stopped half-way removes nothing: it cannot know which users are gone.
        """
        started = self._clock.next()
        seen: set[ObjectId] = set()
        for users in _pieces(all_user_ids(self._source)):
            if should_stop():
                return 0
            self._piece(users)
            seen.update(users)
            between()
        return self._remove_gone(seen, started)

    def _piece(self, users: list[ObjectId]) -> None:
        batch_id, start = self._next_batch_id(), self._clock.now()
        done = self._recompute.run(users, batch_id, lambda _step: None)
        self._letters.store(done.writes.failed, batch_id, self._clock.now())
        self._on_report(
            BatchReport(
                batch_id,
                start,
                max(start, self._clock.now()),
                records_processed=done.history_rows,
                analytics_computed=len(done.documents),
                writes=done.writes,
                users=len(users),
                errors=[failed.reason for failed in done.writes.failed],
            )
        )

    def _remove_gone(self, seen: set[ObjectId], started: datetime) -> int:
        removed = self._target.delete_many({"userId": {"$not": {"$type": "objectId"}}}).deleted_count
        gone = [user for user in all_user_ids(self._target) if user not in seen]
        for start in range(0, len(gone), _USERS_PER_PIECE):
            chunk = gone[start : start + _USERS_PER_PIECE]
            # Only what is older than this pass: a user may have arrived while it ran.
            answer = self._target.delete_many({"userId": {"$in": chunk}, "calculatedAt": {"$lt": started}})
            removed += answer.deleted_count
        return removed


def _pieces(users: Iterator[ObjectId]) -> Iterator[list[ObjectId]]:
    piece: list[ObjectId] = []
    for user in users:
        piece.append(user)
        if len(piece) == _USERS_PER_PIECE:
            yield piece
            piece = []
    if piece:
        yield piece
