"""The brake: when many users fail, the fault is the service's or the database's, and nobody is set aside."""

from __future__ import annotations

from collections.abc import Sequence

from contracts import FailedWrite, ServiceError

# The reason of the letter that stands for a user who was set aside.
COMPUTATION_FAILED = "computation_failed"
_FEW = 10
_SHARE = 0.01


def most_set_aside(users: int) -> int:
    """How many of `users` may be set aside at once, or have results that are refused."""
    return max(_FEW, round(users * _SHARE))


def require_few_refused(failed: Sequence[FailedWrite], users: int) -> None:
    """Raise ServiceError when results of too many of `users` are among the `failed` writes.

    Those who are set aside do not count: their letters are there.
    """
    refused = {write.document["userId"]: write for write in failed if write.reason != COMPUTATION_FAILED}
    if len(refused) > most_set_aside(users):
        reason = next(reversed(refused.values())).reason
        raise too_many_refused(len(refused), users, reason)


def too_many_refused(refused: int, users: int, reason: str) -> ServiceError:
    """The error that results of `refused` of `users` cannot be stored, for a `reason` such as a code."""
    return ServiceError(
        f"Results of {refused} of {users} users cannot be stored ({reason}). That is a rule or a fault of "
        "the database (a validator of the collection, another unique index) or a bug, so none is set aside "
        "and nothing counts as done: mend it, and the same is tried again."
    )
