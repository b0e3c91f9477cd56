"""The full pass: recompute every user, and remove the analytics of users whose data is gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from contracts import BatchReport, ends
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.recompute.on_driver import Recompute
from pipelines.health.upkeep.pass_progress import PassProgress, UserIds
from sinks.dead_letters import DeadLetters
from sinks.health.stored_results import delete_obsolete
from sources.health.history import all_user_ids
from sources.mongo_client import MonotonicClock


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
        progress: PassProgress,
    ) -> None:
        self._source = source
        self._target = target
        self._recompute = recompute
        self._letters = letters
        self._clock = clock
        self._next_batch_id = next_batch_id
        self._on_report = on_report
        self._progress = progress

    def run(self, stop: StopFlag, between: Callable[[], object] = lambda: None) -> int:
        """Recompute all users; each piece is reported as a batch. Returns the documents removed.

        `between` is called after each piece.

        A pass that is stopped half-way removes nothing: it cannot know which users are gone. The next one
        goes on where this one was stopped or killed, if that was less than a day after its begin.
        """
        # Before the ids are listed: a user who arrives meanwhile may be missing, but has later results.
        started = self._clock.next()
        ids = UserIds(all_user_ids(self._source))
        self._progress.begin(ids, started)
        while users := self._progress.piece():
            if stop():
                return 0
            self._piece(users)
            self._progress.advance(users, stop.wait)
            between()
        removed = self._remove_gone(ids, started)
        self._progress.end()
        return removed

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
                records_by_outcome=ends(written=done.history_rows),
                analytics_computed=done.computed,
                writes=done.writes,
                users=len(users),
                errors=[failed.reason for failed in done.writes.failed],
            )
        )

    def _remove_gone(self, seen: UserIds, started: datetime) -> int:
        # An array of ids counts as of their type, so it is named too.
        strangers = [{"userId": {"$not": {"$type": "objectId"}}}, {"userId": {"$type": "array"}}]
        removed = self._target.delete_many({"$or": strangers}).deleted_count
        gone = [user for user in all_user_ids(self._target) if user not in seen]
        # Results that are newer than this pass's begin stay: a user may have arrived while it ran.
        return removed + delete_obsolete(self._target, gone, started, (), self._clock)
