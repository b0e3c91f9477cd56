"""What the poll hands over at once: changed documents, and which versions of them it read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sources.health.replies import decoded

# In bytes. Decoded, a document takes up to twenty times as many; larger ones are decoded again to be judged.
_KEPT_DECODED = 50_000
_NAMES = ("_id", "updatedAt", "userId")


class Changed:
    """A changed document: decoded, or as its bytes and what names it where it is large."""

    __slots__ = ("_found", "_raw")

    def __init__(self, raw: bytes) -> None:
        self._found = decoded(raw)
        self._raw: bytes | None = None
        if len(raw) > _KEPT_DECODED:
            self._found, self._raw = {name: self._found.get(name) for name in _NAMES}, raw

    @property
    def key(self) -> tuple[Any, Any]:
        """Its `_id` and `updatedAt`."""
        return self._found["_id"], self._found.get("updatedAt")

    @property
    def has_owner(self) -> bool:
        """Whether it has a userId, of any type."""
        return self._found.get("userId") is not None

    @property
    def document(self) -> dict[str, Any]:
        """All of it."""
        return self._found if self._raw is None else decoded(self._raw)


@dataclass(frozen=True, slots=True)
class PollPage:
    """Changed documents, in one piece of work.

    `newest` is their greatest updatedAt (None without any). It may lie before the cursor when a late commit
    was found, so the cursor to save is the greater of both. `complete`: this drain ends here. `late_seconds`
    has an entry for each document that an earlier drain had read past: how long before that drain's end it
    is dated, so it was committed at least that late.
    """

    changed: Sequence[Changed] = ()
    newest: datetime | None = None
    complete: bool = False
    late_seconds: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """The number of documents that were read."""
        return len(self.changed)

    @property
    def keys(self) -> list[tuple[Any, datetime]]:
        """The `(_id, updatedAt)` of every document that was read."""
        return [each.key for each in self.changed]

    @property
    def documents(self) -> Iterator[dict[str, Any]]:
        """Those with a userId, one after another."""
        return (each.document for each in self.changed if each.has_owner)


def changed_in(documents: Sequence[bytes]) -> list[Changed]:
    """Those of `documents` whose updatedAt is one date that Python can hold."""
    found = map(Changed, documents)
    return [each for each in found if isinstance(each.key[1], datetime)]


def page_of(changed: Sequence[Changed], read_to: datetime | None) -> PollPage:
    """Make a page of `changed`; an earlier drain had read up to `read_to`."""
    dated = [each.key[1] for each in changed]
    late = (
        (read_to - updated).total_seconds() for updated in dated if read_to is not None and updated <= read_to
    )
    return PollPage(changed, max(dated), late_seconds=tuple(late))
