"""The full pass: recompute every user, and remove the analytics of users whose data is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from pymongo.collection import Collection

from pipelines.engine.stop_flag import StopFlag
from pipelines.health.upkeep.pass_progress import PassProgress, UserIds
from pipelines.health.upkeep.pieces import Pieces
from retry import RetryPolicy
from sinks.health.stored_results import delete_obsolete, delete_strangers
from sinks.mongo_errors import is_transient_mongo
from sources.health.history import all_user_ids
from sources.mongo_client import MonotonicClock


@dataclass(frozen=True)
class FullPass:
    """Heals what the poll cannot see: deleted days, deleted users, documents without `updatedAt`."""

    source: Collection[dict[str, Any]]
    target: Collection[dict[str, Any]]
    pieces: Pieces
    clock: MonotonicClock
    progress: PassProgress
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def run(self, stop: StopFlag, between: Callable[[], object] = lambda: None) -> int:
        """Recompute all users; each piece is reported as a batch. Returns the documents removed.

        `between` is called after each piece.

        A pass that is stopped half-way removes nothing: it cannot know which users are gone. The next one
        goes on where this one was stopped or killed, if that was less than a day after its begin.

        Each step is tried again while MongoDB is away for a moment; UnavailableError when it stays away.
        """
        again = partial(self.retry.until(stop).call, is_transient=is_transient_mongo)
        # Before the ids are listed: a user who arrives meanwhile may be missing, but has later results.
        started = again(self.clock.next)
        ids = again(lambda: UserIds(all_user_ids(self.source, stop)))
        again(lambda: self.progress.begin(ids, started))
        while users := self.progress.piece():
            if stop():
                return 0
            again(partial(self.pieces.run, users))
            again(partial(self.progress.advance, users, stop.wait))
            between()
        removed = again(lambda: self._remove_gone(ids, started, stop))
        again(lambda: self.progress.end(self.clock.now()))
        return removed

    def _remove_gone(self, seen: UserIds, started: datetime, stop: StopFlag) -> int:
        removed = delete_strangers(self.target)
        gone = [user for user in all_user_ids(self.target, stop) if user not in seen]
        # Results that are newer than this pass's begin stay: a user may have arrived while it ran.
        return removed + delete_obsolete(self.target, gone, started, (), self.clock)
