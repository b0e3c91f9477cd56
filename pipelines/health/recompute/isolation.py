"""Finds the users whose data make a computation fail, so that one of them cannot hold up all others.

Users whose computation failed `MAX_BATCH_FAILURES` times in a row are suspects: they are computed in halves
of halves until those who fail alone are found. These go to the dead-letter queue, and are left out while
their letter lies there; all others go on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bson import ObjectId
from py4j.protocol import Py4JError, Py4JJavaError
from pymongo.errors import PyMongoError

from analytics.health.validation import DayRules
from contracts import FailedWrite, ServiceError
from monitoring.logs import get_logger, redact
from pipelines.engine.faults import Faults
from pipelines.health.recompute.brake import COMPUTATION_FAILED, most_set_aside
from pipelines.health.recompute.failures import Failures
from pipelines.health.recompute.on_driver import EVERYTHING, FirstDays, Recompute, Recomputed, Step, combined
from sinks.dead_letters import DeadLetters
from sources.mongo_client import MonotonicClock

logger = get_logger(__name__)

_CAUSE_LENGTH = 300

_Attempt = Callable[[Sequence[ObjectId]], Recomputed]


@dataclass(frozen=True)
class Isolation:
    """Recomputes users like the one it wraps, and looks for the culprits when that keeps failing."""

    recompute: Recompute
    failures: Failures
    letters: DeadLetters
    clock: MonotonicClock
    faults: Faults

    def rules(self, now: datetime) -> DayRules:
        """The calendar at `now`, as the wrapped one has it."""
        return self.recompute.rules(now)

    def run(
        self, users: Sequence[ObjectId], batch_id: str, step: Step, changed: FirstDays = EVERYTHING
    ) -> Recomputed:
        """Recompute `users`; those who are set aside are among the result's failed writes instead.

        Raises what the computation raised, until it has failed so often that a search begins. The search
        raises ServiceError when more than 10 and more than 1 % of the users would be set aside: that is a bug
        or a fault of this machine, and no user is set aside.
        """

        def attempt(group: Sequence[ObjectId]) -> Recomputed:
            return self._attempt(group, batch_id, step, changed)

        aside = self._set_aside_of(users)
        suspects = self.failures.suspects(user for user in users if user not in aside)
        results: list[Recomputed] = []
        done: set[ObjectId] = set()
        if suspects or self.failures.searching:
            limit = most_set_aside(len(users))
            for group, result in self._search(suspects, limit, attempt):
                done.update(group)
                results.append(result)
            aside = self._set_aside_of(users)
        rest = [user for user in users if user not in aside and user not in done]
        if rest:
            results.append(attempt(rest))
        return combined(results, [_letter(user) for user in users if user in aside], self.clock.now())

    def run_set_aside(self, user: ObjectId, batch_id: str) -> Recomputed:
        """Recompute `user`, who is set aside; that may kill the process. Errors of the computation pass."""
        self.faults.about_to_compute([user])
        return self.recompute.run([user], batch_id, lambda _step: None)

    def _attempt(
        self, users: Sequence[ObjectId], batch_id: str, step: Step, changed: FirstDays
    ) -> Recomputed:
        self.failures.begin(users)
        try:
            self.faults.about_to_compute(users)
            result = self.recompute.run(users, batch_id, step, changed)
        except Exception as error:
            if is_of_the_data(error):
                self.failures.failed(_cause(error))
            else:
                self.failures.interrupted()
            raise
        self.failures.succeeded()
        return result

    def _search(
        self, suspects: Sequence[ObjectId], limit: int, attempt: _Attempt
    ) -> list[tuple[list[ObjectId], Recomputed]]:
        """Try groups until every culprit is set aside; returns the groups that could be computed."""
        if not self.failures.searching:
            logger.warning(
                f"🔎 The computation failed {self.failures.max_failures} times in a row for "
                f"{len(suspects)} users; looking for those who cause it"
            )
            self.failures.search(suspects)
        done = []
        # Also those count whose process died of them, before this one went on with the search.
        self._check_number(limit)
        while group := self.failures.next_group():
            try:
                done.append((group, attempt(group)))
            except Exception as error:
                # Without Java every further group would fail, whoever is in it.
                if not is_of_the_data(error) or _java_ended(error):
                    raise
            self._check_number(limit)
        self._set_aside()
        return done

    def _check_number(self, limit: int) -> None:
        causes = list(self.failures.culprits.values())
        if len(causes) <= limit:
            return
        self.failures.forget()
        raise ServiceError(
            f"The computation fails for more than {limit} users, each alone ({causes[-1]}). That is a "
            "bug or a fault of this machine, so no user is set aside and the cursor stays: look at the "
            "errors before this one."
        )

    def _set_aside(self) -> None:
        culprits = self.failures.culprits
        letters = [_letter(user, cause) for user, cause in culprits.items()]
        self.letters.store(letters, "isolation", self.clock.now())
        for user, cause in culprits.items():
            logger.error(f"🚧 User {user} makes the computation fail and is set aside", cause=cause)
        self.failures.end_search()

    def _set_aside_of(self, users: Sequence[ObjectId]) -> set[ObjectId]:
        known = self.letters.known([_letter(user) for user in users])
        return set(itertools.compress(users, known))


def is_of_the_data(error: Exception) -> bool:
    """Whether only another input can mend `error`: no server that is away or refuses, no full disk.

    A document that MongoDB refuses raises nothing: it is among the failed writes.
    """
    return not isinstance(error, ServiceError | PyMongoError)


def _java_ended(error: Exception) -> bool:
    return isinstance(error, Py4JError | OSError) and not isinstance(error, Py4JJavaError)


def _cause(error: Exception) -> str:
    return redact(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")[:_CAUSE_LENGTH]


def _letter(user: ObjectId, cause: str = "") -> FailedWrite:
    """Make the record that stands for `user` in the dead-letter queue; its id depends on the user alone."""
    return FailedWrite({"userId": user, "cause": cause}, COMPUTATION_FAILED)
