"""The health batch: its ordered steps, from the poll to the cursor.

poll → validate → read → compute → write → dead letters → save the cursor → report. Each step is idempotent,
so a crash between any two repeats work and loses none; the cursor moves only after everything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial

from bson import ObjectId

from analytics.health.history_rows import first_days, judge_rows
from analytics.health.superseded import Superseded
from analytics.health.validation import check_document
from checkpoint.store import CheckpointStore, CursorState
from contracts import AccessDeniedError, AlreadyRunningError, BatchReport, Clock, FailedWrite
from contracts.plain_documents import milliseconds
from monitoring.logs import get_logger
from pipelines.engine.failure import tell_failure
from pipelines.engine.faults import Faults
from pipelines.engine.steps import Steps
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.backlog import Backlog
from pipelines.health.page_work import Piece
from pipelines.health.pipeline import HEALTH
from pipelines.health.recompute.brake import COMPUTATION_FAILED, require_few_refused
from pipelines.health.recompute.on_driver import EVERYTHING, Recompute
from retry import RetryPolicy
from sinks.dead_letters import DeadLetters
from sinks.mongo_errors import denial, is_transient_mongo
from sources.health.poll import MongoPoll
from sources.health.poll_page import PollPage

logger = get_logger(__name__)


@dataclass(kw_only=True)
class HealthBatch:
    """Drains what changed since the cursor, page by page.

    It recomputes `users_per_piece` users at a time; a page of at least `whole_from_users` is one piece.
    `recompute` fills `superseded` with the documents that lost their day.
    """

    poll: MongoPoll
    recompute: Recompute
    cursor: CheckpointStore
    letters: DeadLetters
    clock: Clock
    retry: RetryPolicy
    faults: Faults
    on_report: Callable[[BatchReport], None]
    on_recovery: Callable[[str], None] = lambda _origin: None
    users_per_piece: int = 1_000
    whole_from_users: int = sys.maxsize
    superseded: Superseded = field(default_factory=Superseded)

    # The users of this drain, by the 12 bytes of their ids: a backlog names all of them.
    _recomputed: set[bytes] = field(default_factory=set, init=False)
    _began: datetime | None = field(default=None, init=False)
    _known: CursorState | None = field(default=None, init=False)
    _current: Piece | None = field(default=None, init=False)
    _steps: Steps = field(init=False)
    _count: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._steps = Steps(self.faults, HEALTH.steps)

    @property
    def steps(self) -> Steps:
        """Those of the batch that runs."""
        return self._steps

    def drain(self, stop: StopFlag, since: datetime | None = None) -> datetime | None:
        """Process everything changed up to the server's now, and return that moment.

        Returns None when a piece failed; it is tried again next time. A dead letter that cannot be stored,
        and servers that stay away, are reported like any failed batch. `since` replaces the cursor for this
        pass and leaves it alone. Raises AccessDeniedError or AlreadyRunningError, after the report: another
        try would only repeat the refusal.
        """
        self._current = None
        self._recomputed, self._began = set(), None
        self.superseded.clear()
        try:
            return self.retry.until(stop).call(lambda: self._drain_once(stop, since), is_transient_mongo)
        except Exception as error:
            refusal = denial(error)
            if refusal is not None:
                error = AccessDeniedError(refusal)
            self._report_failure(error)
            if isinstance(error, AccessDeniedError | AlreadyRunningError):
                raise error from None
            return None

    def next_batch_id(self) -> str:
        """A name for a unit of work, unique within this process."""
        self._count += 1
        return f"batch_{self._count}"

    def _drain_once(self, stop: StopFlag, since: datetime | None) -> datetime:
        self._steps = Steps(self.faults, HEALTH.steps)
        start = now = self.clock.now()
        self._began = self._began or now
        state = None if since else self._read_cursor(now)
        position = since or (state.timestamp if state else now)
        # Nothing older is polled in this drain.
        self.superseded.since = self.poll.before(position)
        backlog = Backlog()
        for page in self.poll.begin(position, now):
            if page.size:
                behind = partial(self.poll.count_after, max(position, page.newest or now), now)
                piece = self._process(page, backlog.after(page, behind), start)
                moved = False
                if state is not None:
                    state = self._save(state, page, now)
                    moved = state is None
                if not moved:
                    self.poll.mark_done(page)
                start = self._time_of_report()
                self._steps.done("save")
                self._report(piece, start)
                # The next page is polled from now on.
                self._steps = Steps(self.faults, HEALTH.steps)
                if moved:
                    break  # a person's new position is for the next drain
            if stop():
                break
        if self.superseded.is_full:
            logger.warning(
                f"More than {self.superseded.count} documents lost their day to a later one; those beyond "
                "are counted as written"
            )
        return now

    def _read_cursor(self, now: datetime) -> CursorState:
        state = self.cursor.read(now)
        for warning in state.warnings:
            logger.warning(warning)
        if state.warnings and state.origin in ("previous", "default"):
            self.on_recovery(state.origin)
        if self._known is not None and self._known.raw != state.raw:
            logger.info(
                "The cursor was changed from outside; going on from there", cursor=str(state.timestamp)
            )
            self.poll.forget()
        self._known = state
        return state

    def _save(self, state: CursorState, page: PollPage, now: datetime) -> CursorState | None:
        newest = max(state.timestamp, page.newest or state.timestamp)
        saved = self.cursor.save(min(newest, now), state, now)
        if saved is None:
            logger.info("The cursor was changed from outside during the batch; the change is kept")
            self.poll.forget()
        self._known = saved
        return saved

    def _process(self, page: PollPage, waiting: int | None, start: datetime) -> Piece:
        steps = self._steps
        piece = Piece(
            self.next_batch_id(),
            start,
            newest=page.newest,
            late_seconds=page.late_seconds,
            polled=page.size,
            waiting=waiting,
            steps=steps,
        )
        self._current = piece
        steps.done("poll")
        self._validate(page, piece)
        steps.done("validate")
        failed: list[FailedWrite] = []
        set_aside: set[ObjectId] = set()
        changed = EVERYTHING
        # Of a backlog's users whole histories are read, which are sure to hold what its later pages have.
        if page.complete and not self._recomputed:
            changed = first_days(page.rows, page.single_documents, self.recompute.rules(piece.start))
        for users in _chunks(piece.users, self._at_once(len(piece.users))):
            steps.at("read")
            done = self.recompute.run(users, piece.batch_id, steps.done, changed)
            require_few_refused(done.writes.failed, len(users))
            aside = {
                each.document["userId"] for each in done.writes.failed if each.reason == COMPUTATION_FAILED
            }
            set_aside |= aside
            if changed is EVERYTHING:
                self._recomputed.update(user.binary for user in users if user not in aside)
            piece.computed += done.computed
            piece.writes += done.writes
            failed += done.writes.failed
        steps.at("dead_letters")
        self.letters.store([*piece.rejected, *failed], piece.batch_id, self.clock.now())
        steps.done("dead_letters")
        piece.settle(set_aside, self.superseded)
        return piece

    def _at_once(self, users: int) -> int:
        return users if users >= self.whole_from_users else self.users_per_piece

    def _validate(self, page: PollPage, piece: Piece) -> None:
        rules = self.recompute.rules(piece.start)
        # Changes dated before were sure to be in the histories that this drain has read.
        settled = (self._began or piece.start) - self.poll.overlap.length
        # Also a document that does not count makes its user stale: yesterday it may have counted.
        settled_users: set[bytes] = set()
        stale: set[bytes] = set()
        for rows in page.rows:
            clear, why_left_out = judge_rows(rows, rules)
            piece.judged_rows(rows.where(clear), why_left_out)
            for document in rows.where(~clear).documents():
                piece.judged(document, check_document(document, rules))
            is_settled = rows.moments("updatedAt") < milliseconds(settled)
            settled_users.update(rows.where(is_settled).identities("userId"))
            stale.update(rows.where(~is_settled).identities("userId"))
        for document in page.single_documents:
            piece.judged(document, check_document(document, rules))
            owner = document.get("userId")
            if isinstance(owner, ObjectId):
                (settled_users if document["updatedAt"] < settled else stale).add(owner.binary)
        # A backlog is polled in the order of time, so its pages share most of their users.
        stale |= settled_users - self._recomputed
        piece.users = [ObjectId(user) for user in sorted(stale)]

    def _time_of_report(self) -> datetime:
        """Returns the time for the report of a piece that is done, which must not fail for want of it."""
        try:
            return self.clock.now()
        except Exception:  # noqa: BLE001 - as above; the next drain meets whatever it is
            return datetime.now(timezone.utc)

    def _report_failure(self, error: Exception) -> None:
        if isinstance(error, AccessDeniedError | AlreadyRunningError):
            text = str(error)  # it ends the process, which says so in one line
        else:
            held = "The batch failed; the cursor stays and the next trigger tries again"
            text = tell_failure(logger, error, held)
        # The server whose clock it is may be what failed, and the report needs some time.
        now = datetime.now(timezone.utc)
        self._steps.broke_off()
        piece = self._current or Piece(self.next_batch_id(), now, steps=self._steps)
        self._report(piece, now, failure=text)

    def _report(self, piece: Piece, end: datetime, failure: str | None = None) -> None:
        self._current = None
        self.on_report(piece.report(end, failure))


def _chunks(users: Sequence[ObjectId], size: int) -> Iterator[Sequence[ObjectId]]:
    for start in range(0, len(users), size or 1):
        yield users[start : start + size]
