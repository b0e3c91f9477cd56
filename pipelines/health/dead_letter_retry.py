"""Retrying dead letters: the letter's user is recomputed; a stored record is never written back.

Writing the record itself could revive what has expired or been deleted since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from analytics.health.validation import DayRules, check_document
from contracts import Clock, ServiceError
from monitoring.logs import get_logger
from pipelines.engine.due import Due
from pipelines.engine.letters_again import never, try_again
from pipelines.health.recompute.brake import COMPUTATION_FAILED, require_few_refused
from pipelines.health.recompute.isolation import Isolation, is_of_the_data
from pipelines.health.telling.delivery import LETTERS
from sinks.dead_letters import DeadLetters, Letter, RetryOutcome
from sinks.letter_files import without_content
from sources.health.replies import read_documents
from sources.mongo_client import is_asked_for

logger = get_logger(__name__)

_USERS_PER_PIECE = 200
_IDS_PER_QUERY = 1_000
_MOST_ASKED = 100

# The id of a letter, and what is told how its retry ended.
Asked = tuple[str, Callable[[str], None]]


@dataclass
class LetterRetry:
    """Recomputes the users of open letters that may be mended; removes those whose reason is gone."""

    letters: DeadLetters
    source: Collection[dict[str, Any]]
    recompute: Isolation
    clock: Clock
    next_batch_id: Callable[[], str]
    every_minutes: float
    # Tells a notice again that its receiver did not take; False where nobody takes it.
    tell_again: Callable[[Letter], bool] = lambda _letter: False

    def __post_init__(self) -> None:
        self._is_due = Due(self.every_minutes * 60)
        self._asked: SimpleQueue[Asked] = SimpleQueue()

    def ask(self, letter_id: str, tell: Callable[[str], None]) -> bool:
        """Let a letter be tried after the running poll, by whichever thread; `tell` takes how that ended.

        False when so many wait already that it is not taken.
        """
        if self._asked.qsize() >= _MOST_ASKED:
            return False
        self._asked.put((letter_id, tell))
        return True

    def run_asked(
        self, stop: Callable[[], bool] = never, between: Callable[[], object] = lambda: None
    ) -> None:
        """Retry what was asked for, parked letters too. One that fails is told, and fails no batch.

        What a stop or the end of the process leaves is forgotten: the letters are still there.
        """
        while not stop():
            try:
                letter_id, tell = self._asked.get_nowait()
            except Empty:
                return
            try:
                named = [one for one in self.letters.named(letter_id) if isinstance(one, Letter)]
                outcome = self.run(named, stop, between)
                told = "stopped" if outcome.stopped else "kept" if outcome.kept else "resolved"
            except Exception as error:  # noqa: BLE001 - the boundary: reported, and nothing is lost
                told = f"failed: {error if isinstance(error, ServiceError) else type(error).__name__}"
            logger.info(f"📬 The letter {letter_id[:12]} was tried again, as was asked: {told}")
            tell(told)

    def run_due(
        self,
        stop: Callable[[], bool] = never,
        stored_before: datetime | None = None,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        """Retry all open letters when the time has come (at start, then every `DLQ_RETRY_MINUTES`).

        A retry that fails is logged and never fails the batch: its letters are still there. A user who was
        set aside may kill the process again, so that letter is not retried at each start. Letters that were
        not `stored_before` have their turn next time. `stop` and `between` are those of `try_again`.
        What was asked for is tried first.
        """
        self.run_asked(stop, between)
        if stop() or not self._is_due():
            return
        try:
            before = self.clock.now() - timedelta(minutes=self.every_minutes)
            due = (
                letter
                for letter in self.letters.each()
                if not letter.parked
                # Its receiver was asked for three days, or does not want it.
                and letter.reason not in LETTERS
                and (not _stands_for_user(letter) or _last(letter) <= before)
                and (stored_before is None or (letter.last_seen or letter.time) < stored_before)
            )
            outcome = self.run(due, stop, between)
        except Exception as error:  # noqa: BLE001 - the boundary: reported, and nothing is lost
            cause = str(error) if isinstance(error, ServiceError) else type(error).__name__
            logger.warning("Retrying dead letters failed; they are kept", reason=cause)
            return
        if outcome.resolved or outcome.kept:
            logger.info(f"📬 Dead letters: {len(outcome.resolved)} resolved, {len(outcome.kept)} kept")

    def run(
        self,
        letters: Iterable[Letter],
        stop: Callable[[], bool] = never,
        between: Callable[[], object] = lambda: None,
    ) -> RetryOutcome:
        """Retry `letters` now. Raises pymongo's and Spark's errors unchanged; nothing is lost by them."""
        outcome, found = RetryOutcome(), []
        for letter in letters:
            if letter.reason in LETTERS:
                self._tell(letter, outcome)
            else:
                # Records may be large, and the files keep them.
                found.append(without_content(letter))
        for letter in filter(_stands_for_user, found):
            if stop():
                return replace(outcome, stopped=True)
            if self._fails_alone(letter):
                outcome.kept.append(letter.id)
            else:
                self.letters.delete(letter)
                outcome.resolved.append(letter.id)
            between()
        groups = _pieces([letter for letter in found if not _stands_for_user(letter)])
        tried = try_again(self.letters, groups, self._mended, self.clock.now, stop, between)
        return RetryOutcome(outcome.resolved + tried.resolved, outcome.kept + tried.kept, tried.stopped)

    def _tell(self, letter: Letter, outcome: RetryOutcome) -> None:
        self.letters.count_attempts([letter], self.clock.now())
        if self.tell_again(letter):
            self.letters.delete(letter)
            outcome.resolved.append(letter.id)
        else:
            outcome.kept.append(letter.id)

    def _fails_alone(self, letter: Letter) -> bool:
        """Recompute the user whom `letter` sets aside; returns whether the letter has to stay.

        The attempt is counted before, since it may kill the process.
        """
        self.letters.count_attempts([letter], self.clock.now())
        user = _user(letter)
        if user is None:
            logger.warning("The letter of a user names none", letter=letter.id[:12])
            return True
        batch_id = self.next_batch_id()
        try:
            done = self.recompute.run_set_aside(user, batch_id)
        except Exception as error:
            if not is_of_the_data(error):
                raise
            logger.warning("The user still makes the computation fail", user=letter.user_id)
            return True
        self.letters.store(done.writes.failed, batch_id, self.clock.now())
        return self._may_be_elsewhere(letter)

    def _mended(self, letters: Sequence[Letter]) -> set[str]:
        """Recompute the users of letters that may be mended; returns the ids of those whose reason is gone.

        A document that is refused as before changes nothing for its user.
        """
        results = [letter for letter in letters if "metricType" in letter.record]
        mended = self._of_good_documents([letter for letter in letters if "metricType" not in letter.record])
        failed: set[tuple[Any, ...]] = set()
        users = _users(results) | _users(letter for letter in letters if letter.id in mended)
        if users:
            batch_id = self.next_batch_id()
            done = self.recompute.run(sorted(users), batch_id, lambda _step: None)
            # Who has such letters is here because results of theirs were refused.
            known = _users(results)
            strangers = [write for write in done.writes.failed if write.document["userId"] not in known]
            require_few_refused(strangers, len(users))
            # Also results that no letter was about: they are refused now, and no later batch may bring them.
            self.letters.store(done.writes.failed, batch_id, self.clock.now())
            failed = {(*_key(failure.document), failure.reason) for failure in done.writes.failed}
        return mended | {
            letter.id
            for letter in results
            if (*_key(letter.record), letter.reason) not in failed and not self._may_be_elsewhere(letter)
        }

    def _of_good_documents(self, letters: Sequence[Letter]) -> set[str]:
        """The ids of `letters` whose document is refused no more for their reason, or is gone."""
        rules = self.recompute.rules(self.clock.now())
        waiting: dict[ObjectId, list[Letter]] = {}
        mended = set()
        for letter in letters:
            # What a letter stands for that names no document cannot be looked up.
            if type(document_id := letter.record.get("_id")) is ObjectId:
                waiting.setdefault(document_id, []).append(letter)
            elif "_id" in letter.record and self._is_mended(letter, self._document(document_id), rules):
                mended.add(letter.id)
        ids = list(waiting)
        for start in range(0, len(ids), _IDS_PER_QUERY):
            asked = {"_id": {"$in": ids[start : start + _IDS_PER_QUERY]}}
            for document in read_documents(self.source, asked):
                some = waiting.pop(document["_id"], ())
                mended |= {letter.id for letter in some if self._is_mended(letter, document, rules)}
        gone = (letter for some in waiting.values() for letter in some)
        return mended | {letter.id for letter in gone if self._is_mended(letter, None, rules)}

    def _document(self, document_id: Any) -> dict[str, Any] | None:
        return next(read_documents(self.source, {"_id": {"$eq": document_id}}), None)

    def _is_mended(self, letter: Letter, document: dict[str, Any] | None, rules: DayRules) -> bool:
        if document is None:
            return self.letters.owns(letter) and is_asked_for(letter.record["_id"])
        rejections = check_document(document, rules).rejections
        return all((again.reason, again.field) != (letter.reason, letter.field) for again in rejections)

    def _may_be_elsewhere(self, letter: Letter) -> bool:
        """Whether nothing of the letter's user is here, and the letter is not known to belong here."""
        if self.letters.owns(letter):
            return False
        user = _user(letter)
        return user is None or self.source.find_one({"userId": user}, {"_id": 1}) is None


def _users(letters: Iterable[Letter]) -> set[ObjectId]:
    return {user for letter in letters if (user := _user(letter)) is not None}


def _pieces(letters: Sequence[Letter]) -> list[list[Letter]]:
    """Cut `letters` into pieces of at most _USERS_PER_PIECE users; all letters of a user are in one."""
    of_users: dict[ObjectId | None, list[Letter]] = {}
    for letter in letters:
        of_users.setdefault(_user(letter), []).append(letter)
    users = list(of_users.values())
    starts = range(0, len(users), _USERS_PER_PIECE)
    return [
        [letter for some in users[start : start + _USERS_PER_PIECE] for letter in some] for start in starts
    ]


def _user(letter: Letter) -> ObjectId | None:
    valid = letter.user_id is not None and ObjectId.is_valid(letter.user_id)
    return ObjectId(letter.user_id) if valid else None


def _stands_for_user(letter: Letter) -> bool:
    return letter.reason == COMPUTATION_FAILED


def _last(letter: Letter) -> datetime:
    return letter.last_attempt or letter.time


def _key(document: Any) -> tuple[Any, ...]:
    return (document.get("userId"), document.get("metricType"), document.get("timeRange"))
