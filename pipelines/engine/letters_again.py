"""Trying dead letters again in one shape for every pipeline: one letter never stops those behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from py4j.protocol import Py4JError, Py4JJavaError
from pymongo.errors import OperationFailure, PyMongoError

from contracts import DeadLetterError, ServiceError
from monitoring.logs import get_logger
from sinks.dead_letters import DeadLetters, Letter, RetryOutcome
from sinks.mongo_errors import denial, is_transient_mongo
from sinks.stream_letters import Identity, RejectedRecord, identity_of, records_of

logger = get_logger(__name__)

# Of records, in memory at once.
_BYTES_AT_ONCE = 100_000_000


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def never() -> bool:
    """Say that nobody asked to stop."""
    return False


def try_again(
    queue: DeadLetters,
    groups: Iterable[Sequence[Letter]],
    attempt: Callable[[Sequence[Letter]], Collection[str]],
    now: Callable[[], datetime] = _utc_now,
    stop: Callable[[], bool] = never,
    between: Callable[[], object] = lambda: None,
) -> RetryOutcome:
    """Let `attempt` try each group of letters, and remove those whose ids it returns; the others are counted.

    Where it raises, the halves of the group are tried, down to the one letter that is the cause. An error
    that no letter causes (a server that is away, a full disk) passes through; what was not tried is kept.
    `stop` is asked before each group, and `between` is called after it.
    """
    outcome = RetryOutcome()
    for whole in groups:
        waiting = [whole] if whole else []
        while waiting:
            if stop():
                return replace(outcome, stopped=True)
            group = waiting.pop()
            try:
                mended = attempt(group)
            except Exception as error:
                if not is_of_a_letter(error):
                    raise
                if len(group) > 1:
                    middle = len(group) // 2
                    waiting += [group[middle:], group[:middle]]
                    continue
                name = type(error).__name__
                logger.warning("The letter cannot be tried", letter=group[0].id[:12], reason=name)
                mended = ()
            _settle(queue, group, mended, outcome, now())
            between()
    return outcome


def try_records_again(
    queue: DeadLetters,
    letters: Iterable[Letter],
    records_at_once: int,
    refused_again: Callable[[Sequence[RejectedRecord]], Collection[Identity]],
    stop: Callable[[], bool] = never,
) -> RetryOutcome:
    """Try `letters` of a stream by their records; `refused_again` gives those refused again.

    It is never called without records. A letter with one such record is kept, and so is one that cannot be
    read back as records: a person can only look at it.
    """

    def mended(group: Sequence[Letter]) -> set[str]:
        found = {letter.id: records_of(letter.record, letter.reason) for letter in group}
        records = [record for some in found.values() for record in some]
        refused = refused_again(records) if records else ()
        return {
            letter_id
            for letter_id, some in found.items()
            if some and not any(identity_of(record) in refused for record in some)
        }

    return try_again(queue, pieces(letters, records_at_once), mended, stop=stop)


def told_others(queue: DeadLetters) -> str | None:
    """One sentence about the letters of other deployments in the same folder, or that it cannot be read.

    None without any.
    """
    try:
        others = queue.others()
    except DeadLetterError as error:
        return str(error)
    if not others:
        return None
    names = ", ".join(f"{count} of {name}" for name, count in sorted(others.items()))
    return (
        f"Letters of other databases or folders lie in DLQ_DIRECTORY too ({names}); they are left alone. "
        "Try or delete them with the settings of their own; after a server was moved, name a letter's id."
    )


def pieces(letters: Iterable[Letter], records_at_once: int = sys.maxsize) -> Iterator[list[Letter]]:
    """`letters` of a stream in groups, read one after another.

    A group ends with the letter that brings it to `records_at_once` or to 100 MB.
    """
    group: list[Letter] = []
    records = size = 0
    for letter in letters:
        found = records_of(letter.record, letter.reason)
        group.append(letter)
        records += len(found)
        size += sum(len(record.raw or b"") for record in found)
        if records >= records_at_once or size >= _BYTES_AT_ONCE:
            yield group
            group, records, size = [], 0, 0
    if group:
        yield group


def _settle(
    queue: DeadLetters, group: Sequence[Letter], mended: Collection[str], outcome: RetryOutcome, now: datetime
) -> None:
    """Remove the letters that are mended, and count the attempt of the others."""
    gone = [letter for letter in group if letter.id in mended]
    left = [letter for letter in group if letter.id not in mended]
    queue.delete(*gone)
    queue.count_attempts(left, now)
    outcome.resolved.extend(letter.id for letter in gone)
    outcome.kept.extend(letter.id for letter in left)


def is_of_a_letter(error: Exception) -> bool:
    """Whether the letter itself may be the cause, not a server that is away, a full disk or a dead Java."""
    if isinstance(error, Py4JError):
        return isinstance(error, Py4JJavaError)
    if isinstance(error, OperationFailure):
        return not is_transient_mongo(error) and denial(error) is None
    return not isinstance(error, ServiceError | PyMongoError | OSError)
