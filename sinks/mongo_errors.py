"""Which of MongoDB's errors pass by themselves, and which only a person can mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    WTimeoutError,
)

from contracts import UnavailableError

DUPLICATE_KEY = 11000
_UNAUTHORIZED = 13
# HostUnreachable, HostNotFound, LockTimeout, CursorNotFound, MaxTimeMSExpired, NetworkTimeout,
# ShutdownInProgress, WriteConflict, PrimarySteppedDown, ExceededTimeLimit, SocketException,
# NotWritablePrimary, Interrupted…, NotPrimary…, OutOfDiskSpace (the server's), DocumentDB's deadlock.
_TRANSIENT_CODES = frozenset(
    {6, 7, 24, 43, 50, 89, 91, 112, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 14031, 16908292}
)
# UserNotFound, AuthenticationFailed, and the code under which Atlas reports the latter.
_UNKNOWN_USER = frozenset({11, 18, 8000})


def write_errors(error: BulkWriteError) -> Sequence[Mapping[str, Any]]:
    """Returns the refused writes of a bulk; all others of it are stored.

    Raises UnavailableError when they are not confirmed (`writeConcernErrors`): an election could take them
    back, so nothing of the bulk may count as written.
    """
    unconfirmed = error.details.get("writeConcernErrors")
    if unconfirmed:
        raise UnavailableError(
            "MongoDB has not confirmed a write on as many members as asked for (code "
            f"{unconfirmed[0].get('code')}); it is repeated. If this stays: do all members of the replica "
            "set run, and can `w` in MONGO_URI be met?"
        ) from None
    entries: Sequence[Mapping[str, Any]] = error.details.get("writeErrors", [])
    return entries


def is_transient_write(error: Mapping[str, Any]) -> bool:
    """Whether one entry of `writeErrors` is worth another try."""
    return error.get("code") in _TRANSIENT_CODES or "deadlock" in str(error.get("errmsg", "")).lower()


def is_unauthorized(error: OperationFailure) -> bool:
    """Whether the user lacks a right. MongoDB says so by code 13, DocumentDB in PostgreSQL's words."""
    return error.code == _UNAUTHORIZED or "permission denied" in str(error)


def is_transient_mongo(error: BaseException) -> bool:
    """Whether the same call may succeed later; never for wrong credentials or missing rights."""
    if isinstance(error, BulkWriteError):
        return all(is_transient_write(entry) for entry in error.details.get("writeErrors", []))
    if isinstance(error, (AutoReconnect, ConnectionFailure, ExecutionTimeout, WTimeoutError)):
        return True
    return isinstance(error, OperationFailure) and (
        error.code in _TRANSIENT_CODES or "deadlock" in str(error).lower()
    )


def denial(error: BaseException) -> str | None:
    """Returns a sentence with the remedy when the server refused the credentials or the rights, else None.

    The sentence quotes nothing of the server's, which may name users and addresses.
    """
    if not isinstance(error, OperationFailure):
        return None
    if is_unauthorized(error):
        return (
            "MongoDB refuses what this user asks for (not authorized): it needs to read healthmetrics and to "
            "read and write ANALYTICS_COLLECTION in MONGO_DB_NAME."
        )
    if error.code not in _UNKNOWN_USER:
        return None
    return (
        f"MongoDB refuses the user name or password of MONGO_URI (code {error.code}): correct them and start "
        "again."
    )
