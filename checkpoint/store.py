"""The interface of the place where a pipeline keeps its progress: a file, or a MongoDB document."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, Protocol

from checkpoint.timestamp_text import format_timestamp

# What notes can be about: attempts at computing users, how far a pass over all users is, a measured overlap,
# and the catalogue of metrics by which the last full pass computed.
ATTEMPTS = "attempts"
FULL = "full_pass"
RECONCILIATION = "reconciliation"
OVERLAP = "overlap"
CATALOGUE = "catalogue"


_EARLIEST = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class CursorState:
    """The state of the store: `raw` are its very bytes (None if absent), `warnings` sentences for the log."""

    timestamp: datetime
    origin: Literal["file", "mongo", "default", "previous"]
    raw: bytes | None
    warnings: tuple[str, ...] = ()


def default_start(now: datetime, age: timedelta) -> datetime:
    """Where a store without a position begins: `age` before `now`, but not before the year 1."""
    return now - age if now - _EARLIEST > age else _EARLIEST


def checked(
    timestamp: datetime,
    previous: datetime | None,
    origin: Literal["file", "mongo", "default", "previous"],
    raw: bytes | None,
    now: datetime,
) -> CursorState:
    """The state for `timestamp`, clamped to `now`, with a warning for each thing that is odd about it."""
    warnings = []
    if timestamp > now:
        warnings.append(
            f"The cursor {format_timestamp(timestamp)} lies in the future; going on from "
            f"{format_timestamp(now)}, the database server's now"
        )
        timestamp = now
    # Saving never moves back, so a person did it, or a flipped bit made one date out of another.
    if previous is not None and timestamp < previous:
        warnings.append(
            f"The cursor {format_timestamp(timestamp)} is earlier than its previous generation "
            f"{format_timestamp(previous)}; everything changed since then is processed again"
        )
    return CursorState(timestamp, origin, raw, tuple(warnings))


class CheckpointStore(Protocol):
    """The cursor (the moment up to which changes were processed), who may move it, and small notes.

    A person may change the cursor at any time and always wins. Notes survive the death of the process, not
    always that of the machine.
    """

    def lock(self) -> AbstractContextManager[None]:
        """Be the only process that works. Raises AlreadyRunningError when another one does."""
        ...

    def read(self, now: datetime) -> CursorState:
        """The position to go on from, never after `now`; mends what is damaged."""
        ...

    def peek(self, now: datetime) -> CursorState:
        """What `read` would return, with the same warnings; changes nothing."""
        ...

    def save(self, timestamp: datetime, expected: CursorState, now: datetime) -> CursorState | None:
        """Move on to `timestamp`, never back and never after `now`; None when a person changed the cursor.

        Pass as `expected` the result of the last `read` or `save`. Raises AlreadyRunningError when another
        process has taken over meanwhile.
        """
        ...

    def set(self, timestamp: datetime, now: datetime) -> None:
        """Go on from `timestamp` (at most `now`): a person's order, which needs no lock."""
        ...

    def reset(self) -> None:
        """Forget the position: a person's order, which needs no lock."""
        ...

    def read_notes(self, topic: str = ATTEMPTS) -> dict[str, Any]:
        """Returns the notes on `topic` that `write_notes` stored last; empty without any or damaged ones."""
        ...

    def write_notes(self, notes: Mapping[str, Any], topic: str = ATTEMPTS) -> None:
        """Replace the notes on `topic` (JSON values only); empty `notes` remove them."""
        ...
