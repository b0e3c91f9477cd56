"""Compares source and results by keys alone, and recomputes exactly the users whose results do not fit.

A poll cannot see that days or users were deleted, that a document was committed too late, or that results are
gone. It runs between two polls, by ranges of user ids; a killed or stopped one goes on where it was.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from analytics.health.history_table import history_table
from analytics.health.past import NOTHING, measured
from contracts import ServiceError, StoppedError, UnavailableError
from monitoring.health.reconciliation_metrics import ReconciliationMetrics
from monitoring.logs import get_logger
from monitoring.run_state import RunState
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.upkeep.drift import DRIFT, Seen, look
from pipelines.health.upkeep.pass_progress import PassProgress, UserIds
from pipelines.health.upkeep.pieces import Pieces
from retry import RetryPolicy
from sinks.mongo_errors import is_transient_mongo
from sources.health.census import AHEAD, take_census
from sources.health.history import all_user_ids, read_history_rows
from sources.health.versions import among, between

logger = get_logger(__name__)

# What failed goes on where it was, once its server had time to come back.
_AGAIN_SECONDS = 600.0
_EXAMPLES = 3
# So many users of a piece may have lost all documents; more are no deletions but a source that is not whole.
_FEW_GONE, _SHARE_GONE = 10, 0.1

_Found = Mapping[ObjectId, Seen]


@dataclass
class _Tally:
    """Users of one pass: on either side, and by kind of drift those who were mended, and the others."""

    sides: Counter[str] = field(default_factory=Counter)
    healed: Counter[str] = field(default_factory=Counter)
    left: dict[str, list[ObjectId]] = field(default_factory=lambda: {kind: [] for kind in DRIFT})


@dataclass
class Reconciliation:
    """Reconciles every `every_seconds` (0: never) after the last time, counted over restarts.

    `drain` polls and processes all that changed; it returns None when that failed. `on_late` is called when
    documents are found that were committed too late for the poll.
    """

    source: Collection[dict[str, Any]]
    target: Collection[dict[str, Any]]
    pieces: Pieces
    progress: PassProgress
    metrics: ReconciliationMetrics
    state: RunState
    drain: Callable[[StopFlag], datetime | None]
    every_seconds: float
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    on_late: Callable[[], object] = lambda: None
    _at: float | None = None

    def run_due(self, stop: StopFlag) -> None:
        """Reconcile if the time has come; to be called after a whole poll by the thread that makes it.

        One that fails gets a warning and goes on in a while.
        """
        if not self.every_seconds or (self._at is not None and time.monotonic() < self._at):
            return
        is_done = False
        try:
            if self._at is None:
                self._at = time.monotonic() + self._seconds_left()
            if time.monotonic() < self._at:
                return
            # For the probes it is one long batch.
            self.state.begin()
            try:
                self.run(stop)
                is_done = True
            finally:
                self.state.end(is_done)
            self._at = time.monotonic() + self.every_seconds
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001 - the boundary: the next drain meets whatever it is
            self._at = time.monotonic() + min(self.every_seconds, _AGAIN_SECONDS)
            reason = str(error) if isinstance(error, ServiceError) else type(error).__name__
            logger.warning("The reconciliation failed; it goes on in a while", reason=reason)

    def run(self, stop: StopFlag) -> None:
        """Reconcile now.

        Raises StoppedError once `stop` says so, and UnavailableError when MongoDB stays away.
        """
        again = partial(self.retry.until(stop).call, is_transient=is_transient_mongo)
        started, tally = again(self.pieces.clock.now), _Tally()
        again(lambda: self._take_census(started))
        again(lambda: self.progress.begin(UserIds(all_user_ids(self.source, stop)), started))
        while users := self.progress.piece():
            again(partial(self._reconcile, self.progress.before, users[-1], tally, stop))
            again(partial(self.progress.advance, users, stop.wait))
            # What changes meanwhile does not wait for the end.
            self._polled(stop)
        again(partial(self._reconcile, self.progress.before, None, tally, stop))
        ended = again(self.pieces.clock.now)
        again(lambda: self.progress.end(ended))
        self._tell(tally, ended)

    def _seconds_left(self) -> float:
        """How long it is to the next one, at the start of the process."""
        now, ended = self.pieces.clock.now(), self.progress.ended()
        if self.progress.was_left(now):
            return 0.0
        # One of the future was noted before the server's clock was set back.
        if ended is None or ended > now:
            self.progress.note_end(now)
            self._take_census(now)
            self.metrics.counted_from(now)
            return self.every_seconds
        return self.every_seconds - (now - ended).total_seconds()

    def _polled(self, stop: StopFlag) -> datetime:
        """Process what changed, and return up to when. Raises StoppedError, and UnavailableError."""
        polled = self.drain(stop)
        if stop():
            raise StoppedError("The reconciliation was stopped; the next one goes on there.")
        if polled is None:
            raise UnavailableError("The poll beside it failed.")
        self.state.progress()
        return polled

    def _reconcile(
        self, after: ObjectId | None, upto: ObjectId | None, tally: _Tally, stop: StopFlag
    ) -> None:
        """Compare the users after `after` up to `upto`, and mend what does not fit.

        What is only on its way looks the same at first. A poll later it has arrived; what is then as it was
        does not come by itself.
        """
        first = self._look(between(after, upto))
        found = {user: seen for user, seen in first.items() if seen.drift}
        if found:
            polled = self._polled(stop)
            still = self._look(among(list(found)))
            stands = {
                user: seen for user, seen in still.items()
                if seen.drift and seen.fingerprint == found[user].fingerprint and not _waits(seen, polled)
            }  # fmt: skip
            self._heal(self._with_values(stands), len(first), tally)
        tally.sides["source"] += sum(seen.newest is not None for seen in first.values())
        tally.sides["analytics"] += sum(seen.has_results for seen in first.values())

    def _look(self, condition: Mapping[str, Any]) -> dict[ObjectId, Seen]:
        now = self.pieces.clock.now()
        return look(self.source, self.target, condition, self.pieces.recompute.rules(now), now)

    def _with_values(self, found: _Found) -> dict[ObjectId, Seen]:
        """Those of `found` who have results, or a value that gives some."""
        without = [user for user, seen in found.items() if not seen.has_results]
        rules, known = self.pieces.recompute.rules(self.pieces.clock.now()), set[ObjectId]()
        if without:
            table = history_table(read_history_rows(self.source, without), without, rules)
            metrics = measured(table, [NOTHING] * len(without))
            known = {user for user, some in zip(without, metrics, strict=True) if some}
        return {user: seen for user, seen in found.items() if seen.has_results or user in known}

    def _heal(self, found: _Found, compared: int, tally: _Tally) -> None:
        """Recompute the users of `found`, and count who of them fits now."""
        gone = [user for user, seen in found.items() if seen.drift == "orphaned"]
        if len(gone) > max(_FEW_GONE, _SHARE_GONE * compared):
            tally.left["orphaned"] += gone
            found = {user: seen for user, seen in found.items() if seen.drift != "orphaned"}
        if not found:
            return
        kinds = Counter(str(seen.drift) for seen in found.values())
        self.pieces.run(sorted(found), kinds)
        after = self._look(among(list(found)))
        for user, seen in found.items():
            now = after.get(user)
            # Other versions are other changes, which come by themselves.
            if now is not None and now.drift and now.fingerprint == seen.fingerprint:
                tally.left[str(seen.drift)].append(user)
            else:
                tally.healed[str(seen.drift)] += 1
                self.metrics.healed(str(seen.drift), 1)

    def _take_census(self, now: datetime) -> None:
        for unseen in take_census(self.source, now, target=self.target):
            # Out of time without a find proves nothing.
            if unseen.complete or unseen.count:
                self.metrics.unseen(unseen.kind, unseen.count)

    def _tell(self, tally: _Tally, now: datetime) -> None:
        left = {kind: len(users) for kind, users in tally.left.items()}
        self.metrics.reconciled({side: tally.sides[side] for side in ("source", "analytics")}, left, now)
        if tally.healed["late"]:
            self.on_late()
        words = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.healed.items()))
        done = f"{tally.healed.total():,} mended ({words})" if words else "all analytics fit their documents"
        logger.info(f"🩹 Reconciliation: {tally.sides['source']:,} users compared; {done}")
        for kind, users in tally.left.items():
            if users:
                shown: Sequence[ObjectId] = users[:_EXAMPLES]
                logger.warning(
                    f"{len(users)} users {DRIFT[kind]}, and could not be mended, for example "
                    f"{', '.join(map(str, shown))}"
                )


def _waits(seen: Seen, polled: datetime) -> bool:
    """Whether a document is dated ahead, so that the poll takes it when its time comes."""
    return seen.newest is not None and polled < seen.newest <= polled + AHEAD
