"""The users' raw documents as one Arrow table, one row per user and day.

This is the hot path of every recomputation (hundreds of documents a user). Plain documents come as rows of
their byte layout; all others one by one, by the rules of `validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa
from bson.objectid import ObjectId

from analytics.health.history_rows import DAY_BITS, DAY_SHIFT, Days, days_of, joined, winners_of
from analytics.health.superseded import Superseded
from analytics.health.validation import DayRules, check_value, from_phone, limits, metrics_of, place
from contracts import Document
from contracts.bson_order import sort_key
from contracts.health_metrics import OfMetrics
from contracts.plain_documents import Rows, moment_of

_Values = tuple[float | None, ...]


@OfMetrics
def history_schema() -> pa.Schema:
    """The columns of histories: a user, a day since 1970-01-01, and the metrics."""
    return pa.schema(
        [
            pa.field("user", pa.int32(), nullable=False),
            pa.field("day", pa.int32(), nullable=False),
            *(pa.field(name, pa.float64()) for name in limits()),
        ]
    )


def history_table(
    documents: Iterable[Document | Rows],
    users: Sequence[ObjectId],
    rules: DayRules,
    superseded: Superseded | None = None,
) -> pa.Table:
    """The documents that count, as `history_schema`: `user` is an index into `users`, `day` is days since
    1970-01-01, then the metrics of METRICS, null where the day has no usable value.

    Refused documents, those not from a phone, and those of other users are left out; of several
    documents on one day the one with the greater (updatedAt, _id) counts whole, and the others are
    added to `superseded`. Rows are sorted by user and day, whatever the order of the documents. Never
    raises on what a document holds.
    """
    superseded = superseded or Superseded()
    # By bytes, because hashing and comparing an ObjectId runs Python code.
    index = {user.binary: number for number, user in enumerate(users)}
    parts: list[Days] = []
    singles = _Singles(index, rules, superseded)
    for found in documents:
        if not isinstance(found, Rows):
            singles.add(found)
        elif (days := days_of(found, index, rules)) is not None:
            parts.append(days)
    plain = singles.compared(winners_of(joined(parts), superseded))
    numbers = np.array(list(singles.values.values()), np.float64).reshape(-1, len(limits()))
    keys = np.concatenate([plain.keys, np.array(list(singles.values), np.int64)])
    order = np.argsort(keys)
    keys = keys[order]
    columns = [pa.array((keys >> DAY_BITS).astype(np.int32))]
    columns.append(pa.array(((keys & ((1 << DAY_BITS) - 1)) - DAY_SHIFT).astype(np.int32)))
    for column, single in zip(plain.values, numbers.T, strict=True):
        # NaN becomes null.
        columns.append(pa.array(np.concatenate([column, single])[order], from_pandas=True))
    return pa.Table.from_arrays(columns, schema=history_schema())


@dataclass
class _Singles:
    """Documents that are judged one by one: by user and day in one integer, the values that count."""

    index: Mapping[bytes, int]
    rules: DayRules
    superseded: Superseded
    values: dict[int, _Values] = field(default_factory=dict)
    # Flat dicts rather than one of tuples: 200 000 tuples make the garbage collector's passes slow.
    versions: dict[int, datetime] = field(default_factory=dict)
    ids: dict[int, Any] = field(default_factory=dict)

    def add(self, document: Document) -> None:
        """Take `document`, if it counts and no later one of its day is known."""
        owner = document.get("userId")
        if not isinstance(owner, ObjectId):
            return
        user = self.index.get(owner.binary)
        if user is None:
            return
        day = place(document, self.rules)
        if isinstance(day, str) or not from_phone(document, self.rules.sources):
            return
        metrics = metrics_of(document)
        if metrics is None:
            return
        updated: datetime = document["updatedAt"]
        if updated.tzinfo is None:
            updated = updated.replace(tzinfo=timezone.utc)
        key = user << DAY_BITS | day + DAY_SHIFT
        if key not in self.values or self._has_won(key, updated, document.get("_id")):
            # At once, since what lies in the place of a number may be large.
            self.values[key] = tuple(
                [_usable(metrics.get(name), *bounds) for name, bounds in limits().items()]
            )
            self.versions[key], self.ids[key] = updated, document.get("_id")

    def compared(self, plain: Days) -> Days:
        """Keep the later one of each day that is also one of `plain`, which is sorted; returns its others."""
        keys = np.array(list(self.values), np.int64)
        places = np.searchsorted(plain.keys, keys)
        stays = np.ones(len(plain.keys), np.bool_)
        for key, at in zip(keys.tolist(), places.tolist(), strict=True):
            if at == len(plain.keys) or plain.keys[at] != key:
                continue
            updated, identity = moment_of(int(plain.updated[at])), ObjectId(plain.identities[at].tobytes())
            stays[at] = self._has_won(key, updated, identity)
            if stays[at]:
                del self.values[key]
        return plain.where(stays)

    def _has_won(self, key: int, updated: datetime, identity: Any) -> bool:
        """Whether a document is later than the one that counts; the one that is not is superseded."""
        if _is_later(updated, identity, self.versions[key], self.ids[key]):
            self.superseded.add(self.versions[key], self.ids[key])
            return True
        self.superseded.add(updated, identity)
        return False


def _usable(value: Any, low: float, high: float) -> float | None:
    """The value by `check_value`, quicker for the usual types."""
    if type(value) is float or type(value) is int:
        return value + 0.0 if low <= value <= high else None
    return check_value(value, low, high)[0]


def _is_later(updated: datetime, identity: Any, than_updated: datetime, than_identity: Any) -> bool:
    """Whether (updatedAt, _id) is greater, ids of different types in BSON's order."""
    if updated != than_updated:
        return updated > than_updated
    return sort_key(identity) > sort_key(than_identity)
