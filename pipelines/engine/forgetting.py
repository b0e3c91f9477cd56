"""What it is to forget a person, for every pipeline: the places where something lies, and a receipt."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Act = Literal["removed", "anonymised", "left"]
# What a receipt says became of things, and what a dry run says would.
WORDS: Mapping[Act, str] = {"removed": "be removed", "anonymised": "be anonymised", "left": "be left"}


@dataclass(frozen=True, slots=True)
class Found:
    """What is about the person in one place: `count` things, and what became of them, or would.

    `place` names a collection, table or folder; `note` says what a person should know of it. Neither holds
    anything of the person.
    """

    what: str
    place: str
    count: int
    act: Act
    note: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """The `count` records of the person that the source still has, `what` one is, and what removes them."""

    what: str
    place: str
    count: int
    remedy: str


class Forgetting(Protocol):
    """One person to forget, found by what was typed.

    `mark` is how the receipt names the person: never by the id. `reminders` are sentences about places that
    no program of ours reaches.
    """

    mark: Mapping[str, str]
    reminders: Sequence[str]

    def source(self) -> Source | None:
        """What the source still has, of which the person would come again; None where it cannot be asked."""
        ...

    def look(self) -> Iterator[Found]:
        """Count what is there, and change nothing."""
        ...

    def act(self) -> Iterator[Found]:
        """Forget; safe to begin again after a crash, and to repeat. Raises ServiceError."""
        ...


def pseudonym() -> str:
    """Returns a name that nobody has, for rows that stay: not a hash, since a short id is found by trying."""
    return f"forgotten-{secrets.token_hex(8)}"


def sealed(identity: str, salt: Callable[[], str] = lambda: secrets.token_hex(16)) -> Mapping[str, str]:
    """Returns a hash of `identity` with a salt: who knows the id can tell that a receipt is about it.

    Whoever does not know it learns nothing, and two receipts do not tell that they are about one person. The
    id must be one that cannot be guessed.
    """
    grain = salt()
    return {"salt": grain, "sha256": hashlib.sha256(f"{grain}{identity}".encode()).hexdigest()}
