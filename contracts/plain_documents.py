"""Plain health documents as rows of numpy arrays: those of one byte layout, with their values as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import numpy as np
from bson.objectid import ObjectId
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]
Decode = Callable[[bytes], dict[str, Any]]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Layout:
    """A byte layout: `words` of its `template`, `same` has the bits in which all documents equal these."""

    length: int
    words: NDArray[np.uint64]
    same: NDArray[np.uint64]
    columns: np.dtype[np.void]
    template: Mapping[str, Any]
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Documents of one layout.

    Each has `_id` and `userId` (ObjectIds), `date` and `updatedAt` (dates that Python holds), and numbers for
    the `metrics` of the layout, and for the wearables' fields where the layout's template has any; this is
    one of them, decoded. All else is as in the template.
    """

    layout: Layout
    # Whole, since numpy copies of a record with fields nothing but these.
    records: NDArray[np.void]
    decode: Decode

    def __len__(self) -> int:
        return len(self.records)

    def where(self, chosen: Bools) -> Rows:
        """Those that are `chosen`."""
        return self if chosen.all() else Rows(self.layout, self.records[chosen], self.decode)

    def moments(self, name: str) -> Integers:
        """The dates `name`, in milliseconds since 1970."""
        return self.column(name).astype(np.int64)

    def identities(self, name: str) -> list[bytes]:
        """The ObjectIds `name`, as their 12 bytes."""
        found: list[bytes] = self.column(name).tolist()
        return found

    def values(self, name: str) -> Doubles:
        """The values of one of the layout's metrics."""
        return self.column(f"metrics.{name}").astype(np.float64)

    def column(self, name: str) -> NDArray[Any]:
        """The values of a field as they lie there."""
        return self.records.view(self.layout.columns)[name]

    def names(self) -> Iterator[dict[str, Any]]:
        """Of each document the `_id`, `userId` and `updatedAt`, as they are decoded."""
        ids, owners = (map(ObjectId, self.identities(name)) for name in ("_id", "userId"))
        dates = map(moment_of, self.moments("updatedAt").tolist())
        for identity, owner, date in zip(ids, owners, dates, strict=True):
            yield {"_id": identity, "userId": owner, "updatedAt": date}

    def documents(self) -> Iterator[dict[str, Any]]:
        """Decode the documents one after the other."""
        for raw in self.records.tolist():
            yield self.decode(raw[: self.layout.length])


def milliseconds(moment: datetime) -> int:
    """The milliseconds from 1970 to `moment`, which is aware."""
    return (moment - _EPOCH) // _MILLISECOND


def moment_of(milliseconds: int) -> datetime:
    """The time (UTC) that is `milliseconds` after 1970."""
    return _EPOCH + milliseconds * _MILLISECOND
