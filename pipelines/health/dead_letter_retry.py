"""Retrying dead letters: the letter's user is recomputed; a stored record is never written back.

Writing the record itself could revive what has expired or been deleted since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from analytics.health.validation import check_document
from contracts import Clock
from monitoring.logs import get_logger
from pipelines.engine.due import Due
from pipelines.engine.letters_again import count_attempt, try_again
from pipelines.health.recompute.isolation import COMPUTATION_FAILED, Isolation, is_of_the_data
from sinks.dead_letters import DeadLetters, Letter, RetryOutcome
from sources.mongo_client import is_asked_for

logger = get_logger(__name__)

_USERS_PER_PIECE = 200


@dataclass
class LetterRetry:
    """Recomputes the users of open letters and removes the letters whose reason is gone."""

    letters: DeadLetters
    source: Collection[dict[str, Any]]
    recompute: Isolation
    clock: Clock
    next_batch_id: Callable[[], str]
    every_minutes: float

    def __post_init__(self) -> None:
        self._is_due = Due(self.every_minutes * 60)

    def run_due(self) -> None:
        """Retry all open letters when the time has come (at start, then every `DLQ_RETRY_MINUTES`).

        A retry that fails is logged and never fails the batch: its letters are still there. A user who was
        set aside may kill the process again, so that letter is not retried at each start.
        """
        if not self._is_due():
            return
        try:
            before = self.clock.now() - timedelta(minutes=self.every_minutes)
            outcome = self.run(
                [
                    letter
                    for letter in self.letters.list()
                    if not letter.parked and (not _stands_for_user(letter) or _last(letter) <= before)
                ]
            )
        except Exception as error:  # noqa: BLE001 - the boundary: reported, and nothing is lost
            logger.warning("Retrying dead letters failed; they are kept", reason=type(error).__name__)
            return
        if outcome.resolved or outcome.kept:
            logger.info(f"📬 Dead letters: {len(outcome.resolved)} resolved, {len(outcome.kept)} kept")

    def run(self, letters: Sequence[Letter]) -> RetryOutcome:
        """Retry `letters` now. Raises pymongo's and Spark's errors unchanged; nothing is lost by them."""
        outcome = RetryOutcome()
        for letter in filter(_stands_for_user, letters):
            if self._fails_alone(letter):
                outcome.kept.append(letter.id)
            else:
                self.letters.delete(letter)
                outcome.resolved.append(letter.id)
        others = [letter for letter in letters if not _stands_for_user(letter)]
        tried = try_again(self.letters, _pieces(others), self._mended, self.clock.now)
        return RetryOutcome(outcome.resolved + tried.resolved, outcome.kept + tried.kept)

    def _fails_alone(self, letter: Letter) -> bool:
        """Recompute the user whom `letter` sets aside; returns whether the letter has to stay.

        The attempt is counted before, since it may kill the process.
        """
        count_attempt(self.letters, letter, self.clock.now())
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
        """Recompute the users of `letters`; returns the ids of those whose reason is gone."""
        users = sorted({user for letter in letters if (user := _user(letter)) is not None})
        failed: set[tuple[Any, ...]] = set()
        if users:
            batch_id = self.next_batch_id()
            done = self.recompute.run(users, batch_id, lambda _step: None)
            # Also results that no letter was about: they are refused now, and no later batch may bring them.
            self.letters.store(done.writes.failed, batch_id, self.clock.now())
            failed = {(*_key(failure.document), failure.reason) for failure in done.writes.failed}
        return {letter.id for letter in letters if self._is_mended(letter, failed)}

    def _is_mended(self, letter: Letter, failed_keys: set[tuple[Any, ...]]) -> bool:
        record = letter.record
        if "metricType" in record:
            is_refused = (*_key(record), letter.reason) in failed_keys
            return not is_refused and not self._may_be_elsewhere(letter)
        if "_id" not in record:
            return False  # what it stands for cannot be looked up
        current = self.source.find_one({"_id": {"$eq": record["_id"]}})
        if current is None:
            return self.letters.owns(letter) and is_asked_for(record["_id"])
        rejections = check_document(current, self.recompute.rules(self.clock.now())).rejections
        return all((again.reason, again.field) != (letter.reason, letter.field) for again in rejections)

    def _may_be_elsewhere(self, letter: Letter) -> bool:
        """Whether nothing of the letter's user is here, and the letter is not known to belong here."""
        if self.letters.owns(letter):
            return False
        user = _user(letter)
        return user is None or self.source.find_one({"userId": user}, {"_id": 1}) is None


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
