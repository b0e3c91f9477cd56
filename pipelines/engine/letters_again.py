"""Trying dead letters again in one shape for every pipeline: one letter never stops those behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime, timezone

from py4j.protocol import Py4JError, Py4JJavaError
from pymongo.errors import OperationFailure, PyMongoError

from contracts import ConfigurationError, ServiceError
from monitoring.logs import get_logger
from sinks.dead_letters import DeadLetters, Letter, RetryOutcome
from sinks.mongo_errors import denial, is_transient_mongo
from sinks.stream_letters import RejectedRecord, records_of

logger = get_logger(__name__)

# Source and position of a record, its bytes and its key: where a topic was made anew, two have one place.
Identity = tuple[str, int, bytes | None, bytes | None]


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def try_again(
    queue: DeadLetters,
    groups: Sequence[Sequence[Letter]],
    attempt: Callable[[Sequence[Letter]], Collection[str]],
    now: Callable[[], datetime] = _utc_now,
) -> RetryOutcome:
    """Let `attempt` try each group of letters, and remove those whose ids it returns; the others are counted.

    Where it raises, the halves of the group are tried, down to the one letter that is the cause. An error
    that no letter causes (a server that is away, a full disk) passes through; what was not tried is kept.
    """
    outcome = RetryOutcome()
    waiting = [list(group) for group in reversed(groups) if group]
    while waiting:
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
            logger.warning("The letter cannot be tried", letter=group[0].id[:12], reason=type(error).__name__)
            mended = ()
        for letter in group:
            settle(queue, letter, letter.id in mended, outcome, now())
    return outcome


def try_records_again(
    queue: DeadLetters,
    letters: Sequence[Letter],
    records_at_once: int,
    refused_again: Callable[[Sequence[RejectedRecord]], Collection[Identity]],
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

    return try_again(queue, pieces(letters, records_at_once), mended)


def identity_of(record: RejectedRecord) -> Identity:
    """What tells a record from all others of its pipeline."""
    return record.source, record.position, record.raw, record.key


def told_others(queue: DeadLetters) -> str | None:
    """One sentence about the letters of other deployments in the same folder; None without any."""
    others = queue.others()
    if not others:
        return None
    names = ", ".join(f"{count} of {name}" for name, count in sorted(others.items()))
    return (
        f"Letters of other databases or folders lie in DLQ_DIRECTORY too ({names}); they are left alone. "
        "Try or delete them with the settings of their own; after a server was moved, name a letter's id."
    )


def pieces(letters: Sequence[Letter], records_at_once: int) -> list[list[Letter]]:
    """`letters` of a stream in groups; a group ends with the letter that brings it to `records_at_once`."""
    found: list[list[Letter]] = []
    size = records_at_once
    for letter in letters:
        if size >= records_at_once:
            found.append([])
            size = 0
        found[-1].append(letter)
        size += len(records_of(letter.record, letter.reason))
    return found


def settle(queue: DeadLetters, letter: Letter, mended: bool, outcome: RetryOutcome, now: datetime) -> None:
    """Remove a letter that is mended, or count the attempt."""
    if mended:
        queue.delete(letter)
        outcome.resolved.append(letter.id)
    else:
        count_attempt(queue, letter, now)
        outcome.kept.append(letter.id)


def count_attempt(queue: DeadLetters, letter: Letter, now: datetime) -> None:
    """Count a try of `letter`, which may have been deleted meanwhile."""
    with suppress(ConfigurationError):
        queue.record_attempt(letter, now)


def is_of_a_letter(error: Exception) -> bool:
    """Whether the letter itself may be the cause, not a server that is away, a full disk or a dead Java."""
    if isinstance(error, Py4JError):
        return isinstance(error, Py4JJavaError)
    if isinstance(error, OperationFailure):
        return not is_transient_mongo(error) and denial(error) is None
    return not isinstance(error, ServiceError | PyMongoError | OSError)
