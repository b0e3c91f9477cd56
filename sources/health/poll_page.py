"""What the poll hands over at once: changed documents, and which versions of them it read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import chain
from typing import Any

import numpy as np

from contracts.plain_documents import Rows, milliseconds, moment_of
from sources.health.layouts import Layouts
from sources.health.replies import decoded

# In bytes. Decoded, a document takes up to twenty times as many; larger ones are decoded again to be judged.
_KEPT_DECODED = 50_000
_NAMES = ("_id", "updatedAt", "userId")
# An `_id` with its updatedAt.
Version = tuple[Any, datetime]


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


@dataclass
class Found:
    """Documents whose updatedAt is one date that Python can hold, and the number of bytes that were read."""

    rows: list[Rows] = field(default_factory=list)
    singles: list[Changed] = field(default_factory=list)
    size: int = 0

    @classmethod
    def of(cls, reply: bytes, layouts: Layouts) -> Found:
        """What is in `reply`."""
        rows, others = layouts.sort(reply)
        singles = [each for each in map(Changed, others) if isinstance(each.key[1], datetime)]
        return cls(rows, singles, len(reply))

    def __len__(self) -> int:
        return sum(map(len, self.rows)) + len(self.singles)

    def __iadd__(self, other: Found) -> Found:
        self.rows += other.rows
        self.singles += other.singles
        self.size += other.size
        return self

    def date_behind(self, share: float) -> datetime:
        """The updatedAt behind which `share` of the documents lie, less than all; there is one at least."""
        singles = np.array([milliseconds(each.key[1]) for each in self.singles], np.int64)
        dates = np.sort(np.concatenate([singles, *(rows.moments("updatedAt") for rows in self.rows)]))
        return moment_of(int(dates[int(len(dates) * share)]))

    def dated(self, lower: datetime, upper: datetime) -> Found:
        """What is dated from `lower` to `upper`, which have no microseconds."""
        rows = [_between(each, milliseconds(lower), milliseconds(upper)) for each in self.rows]
        singles = [each for each in self.singles if lower <= each.key[1] <= upper]
        return Found([each for each in rows if len(each)], singles, self.size)


@dataclass(frozen=True, slots=True)
class PollPage:
    """Changed documents, in one piece of work: plain ones as `rows` of their layout, and the others singly.

    `newest` is their greatest updatedAt (None without any). It may lie before the cursor when a late commit
    was found, so the cursor to save is the greater of both. `complete`: this drain ends here. `late_seconds`
    has an entry for each document that an earlier drain had read past: how long before that drain's end it
    is dated, so it was committed at least that late.
    """

    rows: Sequence[Rows] = ()
    singles: Sequence[Changed] = ()
    newest: datetime | None = None
    complete: bool = False
    late_seconds: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """The number of documents that were read."""
        return sum(map(len, self.rows)) + len(self.singles)

    @property
    def keys(self) -> list[Version]:
        """The `(_id, updatedAt)` of every document that was read."""
        return list(self.keys_from(datetime.min.replace(tzinfo=timezone.utc)))

    def keys_from(self, moment: datetime) -> Iterator[Version]:
        """Of the documents dated from `moment` on the `(_id, updatedAt)`."""
        for rows in self.rows:
            for name in rows.where(rows.moments("updatedAt") >= milliseconds(moment)).names():
                yield name["_id"], name["updatedAt"]
        yield from (each.key for each in self.singles if each.key[1] >= moment)

    @property
    def documents(self) -> Iterator[dict[str, Any]]:
        """Those with a userId, one after another."""
        of_rows = chain.from_iterable(rows.documents() for rows in self.rows)
        return chain(of_rows, self.single_documents)

    @property
    def single_documents(self) -> Iterator[dict[str, Any]]:
        """Those of them that are of no plain layout."""
        return (each.document for each in self.singles if each.has_owner)


def _between(rows: Rows, lower: int, upper: int) -> Rows:
    moments = rows.moments("updatedAt")
    return rows.where((lower <= moments) & (moments <= upper))


def page_of(found: Found, read_to: datetime | None) -> PollPage:
    """Make a page of `found`, which is not empty; an earlier drain had read up to `read_to`."""
    dates = [each.key[1] for each in found.singles]
    newest, late = list(dates), [date for date in dates if read_to is not None and date <= read_to]
    for rows in found.rows:
        moments = rows.moments("updatedAt")
        newest.append(moment_of(int(moments.max())))
        if read_to is not None:
            late += map(moment_of, moments[moments <= milliseconds(read_to)].tolist())
    late_seconds = tuple((read_to - date).total_seconds() for date in late if read_to is not None)
    return PollPage(found.rows, found.singles, max(newest), late_seconds=late_seconds)
