"""Notes in the checkpoint whose computation failed, how often, and how far the search for culprits is.

They are written before a computation, so that a process that dies of one leaves its trace: an attempt without
a result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from bson import ObjectId
from bson.errors import InvalidId

from checkpoint.store import CheckpointStore


@dataclass
class _Notes:
    """As JSON in the checkpoint; users are the hex form of their ids.

    `trying`: who is being computed. `failures`: how often each failed in a row. In a search, `pending` are
    the groups to try, and `culprits` those who failed alone, with the cause.
    """

    trying: list[str] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    searching: bool = False
    pending: list[list[str]] = field(default_factory=list)
    culprits: dict[str, str] = field(default_factory=dict)


class Failures:
    """The notes of one checkpoint, for everything in this process that computes users."""

    def __init__(self, store: CheckpointStore, max_failures: int) -> None:
        self.max_failures = max_failures
        self._store = store
        # The store is read once: it is this process's alone.
        self._loaded: _Notes | None = None

    @property
    def searching(self) -> bool:
        """Whether a search was begun and not ended, perhaps by a process that died meanwhile."""
        return self._notes.searching

    @property
    def culprits(self) -> dict[ObjectId, str]:
        """The users who failed alone in this search, with the cause."""
        return {ObjectId(user): cause for user, cause in self._notes.culprits.items()}

    def suspects(self, users: Iterable[ObjectId]) -> list[ObjectId]:
        """Those of `users` who failed `max_failures` times in a row."""
        counts = self._notes.failures
        return [user for user in users if counts.get(str(user), 0) >= self.max_failures]

    def search(self, suspects: Sequence[ObjectId]) -> None:
        """Begin a search among `suspects`."""
        self._notes.searching = True
        self._notes.pending = _halves([str(user) for user in suspects])

    def next_group(self) -> list[ObjectId]:
        """Returns the users to try next in the search; none at its end."""
        pending = self._notes.pending
        return [ObjectId(user) for user in pending.pop()] if pending else []

    def begin(self, users: Sequence[ObjectId]) -> None:
        """Note that an attempt to compute `users` begins."""
        self._notes.trying = [str(user) for user in users]
        self._keep()

    def succeeded(self) -> None:
        """Note that the attempt had a result: its users are free of suspicion."""
        for user in self._notes.trying:
            self._notes.failures.pop(user, None)
        self._notes.trying = []
        self._keep()

    def failed(self, cause: str) -> None:
        """Note that the attempt failed because of its input, with the `cause`."""
        self._count_failure(cause)
        # The fault may have hurt the store, too; this process remembers.
        with suppress(Exception):
            self._keep()

    def interrupted(self) -> None:
        """Note that the attempt proves nothing about its input: a server was away, a disk full."""
        notes = self._notes
        group, notes.trying = notes.trying, []
        if notes.searching:
            notes.pending.append(group)
        with suppress(Exception):
            self._keep()

    def end_search(self) -> None:
        """Note that the culprits are dealt with."""
        notes = self._notes
        for user in notes.culprits:
            notes.failures.pop(user, None)
        notes.searching, notes.culprits = False, {}
        self._keep()

    def forget(self) -> None:
        """Forget all failures."""
        self._loaded = _Notes()
        self._keep()

    @property
    def _notes(self) -> _Notes:
        if self._loaded is None:
            self._loaded = _read(self._store.read_notes())
            if self._loaded.trying:
                self._count_failure("the process died")
        return self._loaded

    def _count_failure(self, cause: str) -> None:
        notes = self._notes
        group, notes.trying = notes.trying, []
        if not notes.searching:
            notes.failures.update({user: notes.failures.get(user, 0) + 1 for user in group})
        elif len(group) > 1:
            notes.pending += _halves(group)
        else:
            notes.culprits.update(dict.fromkeys(group, cause))

    def _keep(self) -> None:
        self._store.write_notes({name: value for name, value in asdict(self._notes).items() if value})


def _read(stored: dict[str, Any]) -> _Notes:
    """Read `stored`; notes of another form are dropped, and nothing is lost without them."""
    try:
        notes = _Notes(**stored)
        return _Notes(
            trying=_users(notes.trying),
            failures=dict(zip(_users(notes.failures), map(int, notes.failures.values()), strict=True)),
            searching=bool(notes.searching),
            pending=[_users(group) for group in notes.pending],
            culprits=dict(zip(_users(notes.culprits), map(str, notes.culprits.values()), strict=True)),
        )
    except (TypeError, ValueError, AttributeError, ArithmeticError, InvalidId):
        return _Notes()


def _users(found: Iterable[str]) -> list[str]:
    # The text of each: an ObjectId of None would be a new one.
    return [str(ObjectId(str(user))) for user in found]


def _halves(group: Sequence[str]) -> list[list[str]]:
    middle = len(group) // 2
    return [list(half) for half in (group[:middle], group[middle:]) if half]
