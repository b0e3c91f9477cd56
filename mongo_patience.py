"""Waits for MongoDB that may be longer, or have to be shorter, than the client's own bound for a command."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pymongo
import structlog
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, NetworkTimeout, OperationFailure

from contracts import StoppedError
from detached import detached

T = TypeVar("T")

# What ends a block of `pymongo.timeout`: the server says so, or nothing in time. `maxTimeMS` would not do:
# the driver replaces it by what is left of its own bound.
TOOK_TOO_LONG = (ExecutionTimeout, NetworkTimeout)
WHOLE_COLLECTION_SECONDS = 3_600.0
_LOOK_SECONDS = 0.5
_FALLBACK_SECONDS = 30.0

logger = structlog.get_logger(__name__)


@dataclass
class _Answers:
    number: int = 0


_answers = _Answers()


def while_it_answers(
    database: Database[dict[str, Any]],
    work: Callable[[], T],
    what: str,
    give_up: Callable[[], bool] = lambda: False,
) -> T:
    """Returns the result of `work`, one command that may take an hour while the server answers others.

    A ping beside it, each time that the client's bound for a command has passed, tells work from a server
    that hangs. What is given up is left to a daemon thread, and may still happen: `work` is a read, or
    harmless when it comes late. `what` names it in the one line that tells of a long wait. Raises what `work`
    raises, pymongo's error of the ping, and StoppedError once `give_up` says so.
    """
    if not isinstance(database, Database):  # the embedded store
        return work()
    done = detached(partial(_bounded, work), what)
    patience, is_told = database.client.options.timeout or _FALLBACK_SECONDS, False
    while not _comes(done, patience, what, give_up):
        with suppress(OperationFailure), pymongo.timeout(patience):  # a refusal is an answer
            database.command("ping")
        _answers.number += 1
        if not is_told:
            is_told = True
            logger.warning(f"⏳ MongoDB is at work on {what}; it is waited for while it answers")
    return done.result()


def answers_so_far() -> int:
    """The number of pings that were answered beside long commands of this process: a sign of progress."""
    return _answers.number


def _bounded(work: Callable[[], T]) -> T:
    with pymongo.timeout(WHOLE_COLLECTION_SECONDS):
        return work()


def _comes(done: Future[Any], seconds: float, what: str, give_up: Callable[[], bool]) -> bool:
    """Whether the result comes within `seconds`. Raises StoppedError once `give_up` says so."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if wait([done], min(_LOOK_SECONDS, seconds)).done:
            return True
        if give_up():
            raise StoppedError(f"Stopped while MongoDB was at work on {what}; nothing was lost.")
    return False
