"""What is known of a person and what waits to be told, as values and as the document that is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final

from bson import ObjectId

from analytics.health.documents import midnight
from analytics.health.transitions import Known, tellable

# Ids of what was told that are kept of a person; the oldest go.
_MOST_TOLD: Final = 200
_NAMES: Final = frozenset(one.name for one in fields(Known))


@dataclass(frozen=True, slots=True)
class Notice:
    """A transition that waits since a moment: its `body`, and when it is tried next.

    `to` are the receivers that have not taken it; it was tried `tries` times in vain.
    """

    id: str
    body: Mapping[str, Any]
    to: tuple[str, ...]
    due: datetime
    since: datetime
    tries: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """Of a `user`: results up to `calculated` were looked at. `version` is that of the stored document."""

    user: ObjectId
    known: Mapping[str, Known] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    waiting: tuple[Notice, ...] = ()
    calculated: datetime | None = None
    version: int | None = None

    def after(self, known: Mapping[str, Known], notices: Iterable[Notice]) -> State:
        """The state once `known` is known and `notices` wait, apart from those that were told before."""
        new = [one for one in notices if one.id not in self.told]
        told = (*self.told, *(one.id for one in new))[-_MOST_TOLD:]
        return replace(self, known=known, told=told, waiting=(*self.waiting, *new))

    def document(self) -> dict[str, Any]:
        """What is stored."""
        silent = min((day for _, day in tellable(self.known)), default=None)
        due = min((one.due for one in self.waiting), default=None)
        return {
            "_id": self.user,
            **({} if self.version is None else {"version": self.version}),
            **({} if self.calculated is None else {"calculatedAt": self.calculated}),
            "known": {name: asdict(one) for name, one in self.known.items()},
            "told": list(self.told),
            "waiting": [asdict(one) for one in self.waiting],
            # Absent where there is nothing, so that the sparse indexes stay small.
            **({} if due is None else {"due": due}),
            **({} if silent is None else {"silentAt": midnight(silent)}),
        }


def state_of(document: Mapping[str, Any]) -> State:
    """The state that `document` holds."""
    return State(
        document["_id"],
        {name: _known(one) for name, one in document.get("known", {}).items()},
        tuple(document.get("told", ())),
        tuple(Notice(**{**one, "to": tuple(one["to"])}) for one in document.get("waiting", ())),
        document.get("calculatedAt"),
        document.get("version"),
    )


def _known(stored: Mapping[str, Any]) -> Known:
    # A later version of this service may have stored more.
    found: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in stored.items()
        if name in _NAMES
    }
    return Known(**found)
