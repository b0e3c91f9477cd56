"""The full pass: recompute every user, and remove the analytics of users whose data is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from contracts import BatchReport
from monitoring.logs import get_logger
from pipelines.engine.faults import Faults
from pipelines.engine.steps import Steps
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.recompute.on_driver import Recompute
from pipelines.health.upkeep.pass_progress import PassProgress, UserIds
from sinks.dead_letters import DeadLetters
from sinks.health.stored_results import delete_obsolete, delete_strangers
from sources.health.history import all_user_ids
from sources.mongo_client import MonotonicClock

logger = get_logger(__name__)


@dataclass(frozen=True)
class FullPass:
    """Heals what the poll cannot see: deleted days, deleted users, documents without `updatedAt`."""

    source: Collection[dict[str, Any]]
    target: Collection[dict[str, Any]]
    recompute: Recompute
    letters: DeadLetters
    clock: MonotonicClock
    next_batch_id: Callable[[], str]
    on_report: Callable[[BatchReport], None]
    progress: PassProgress

    def run(self, stop: StopFlag, between: Callable[[], object] = lambda: None) -> int:
        """Recompute all users; each piece is reported as a batch. Returns the documents removed.

        `between` is called after each piece.

        A pass that is stopped half-way removes nothing: it cannot know which users are gone. The next one
        goes on where this one was stopped or killed, if that was less than a day after its begin.
        """
        # Before the ids are listed: a user who arrives meanwhile may be missing, but has later results.
        started = self.clock.next()
        ids = UserIds(all_user_ids(self.source))
        self.progress.begin(ids, started)
        while users := self.progress.piece():
            if stop():
                return 0
            self._piece(users)
            self.progress.advance(users, stop.wait)
            between()
        removed = self._remove_gone(ids, started)
        self.progress.end()
        return removed

    def sweep(self, stop: StopFlag, between: Callable[[], object]) -> None:
        """Run beside the stream, for deleted days and users.

        A pass that fails gets a warning and comes again at its next time: it only repeats what is stored.
        """
        logger.info("🧹 Sweep: every user is computed again, for what was deleted")
        try:
            removed = self.run(stop, between)
        except Exception as error:  # noqa: BLE001 - the boundary: the next drain meets whatever it is
            logger.warning("The sweep failed; it comes again at its next time", reason=type(error).__name__)
            return
        logger.info(f"🧹 Sweep: {removed} documents of users without data removed")

    def _piece(self, users: list[ObjectId]) -> None:
        # A fault that a test injects is for the stream's batches.
        steps = Steps(Faults())
        batch_id, start = self.next_batch_id(), self.clock.now()
        done = self.recompute.run(users, batch_id, steps.done)
        self.letters.store(done.writes.failed, batch_id, self.clock.now())
        end = max(start, self.clock.now())
        steps.done("dead_letters")
        self.on_report(
            BatchReport(
                batch_id,
                start,
                end,
                analytics_computed=done.computed,
                writes=done.writes,
                users=len(users),
                errors=[failed.reason for failed in done.writes.failed],
                steps_ms=steps.ms,
                duration_ms=steps.passed_ms(),
            )
        )

    def _remove_gone(self, seen: UserIds, started: datetime) -> int:
        removed = delete_strangers(self.target)
        gone = [user for user in all_user_ids(self.target) if user not in seen]
        # Results that are newer than this pass's begin stay: a user may have arrived while it ran.
        return removed + delete_obsolete(self.target, gone, started, (), self.clock)
