"""The users' raw documents as one Arrow table, one row per user and day.

This is the hot path of every recomputation (hundreds of documents a user), hence the inlined checks;
the rules themselves are those of `validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from bson.int64 import Int64
from bson.objectid import ObjectId

from analytics.health.superseded import Superseded
from analytics.health.validation import LIMITS, DayRules, check_value, from_phone, metrics_of, place
from contracts import Document
from contracts.bson_order import sort_key

HISTORY_SCHEMA: Final = pa.schema(
    [
        pa.field("user", pa.int32(), nullable=False),
        pa.field("day", pa.int32(), nullable=False),
        *(pa.field(name, pa.float64()) for name in LIMITS),
    ]
)

# A user and a day in one integer: days are shifted to be positive, from year 1 to 9999 they need 22 bits.
_DAY_BITS: Final = 22
_DAY_SHIFT: Final = 719_163
# Types that Arrow turns into doubles by itself without being wrong about any of them (bool is another).
_PLAIN_TYPES: Final = frozenset({int, float, Int64, type(None)})


def history_table(
    documents: Iterable[Document],
    users: Sequence[ObjectId],
    rules: DayRules,
    superseded: Superseded | None = None,
) -> pa.Table:
    """The documents that count, as HISTORY_SCHEMA: `user` is an index into `users`, `day` is days since
    1970-01-01, then the metrics of LIMITS, null where the day has no usable value.

    Refused documents, those not from a phone, and those of other users are left out; of several
    documents on one day the one with the greater (updatedAt, _id) counts whole, and the others are
    added to `superseded`. Rows are sorted by user and day, whatever the order of the documents. Never
    raises on what a document holds.
    """
    winners = _winners(documents, users, rules, superseded or Superseded())
    keys = sorted(winners)
    metrics = [winners[key] for key in keys]
    mask = (1 << _DAY_BITS) - 1
    columns = [
        pa.array([key >> _DAY_BITS for key in keys], pa.int32()),
        pa.array([(key & mask) - _DAY_SHIFT for key in keys], pa.int32()),
        *(_column([m.get(name) for m in metrics], low, high) for name, (low, high) in LIMITS.items()),
    ]
    return pa.Table.from_arrays(columns, schema=HISTORY_SCHEMA)


def _winners(
    documents: Iterable[Document], users: Sequence[ObjectId], rules: DayRules, superseded: Superseded
) -> dict[int, Document]:
    """The metrics of the document that counts, by user and day in one integer."""
    # By bytes, because hashing and comparing an ObjectId runs Python code.
    index = {user.binary: number for number, user in enumerate(users)}
    # Flat dicts rather than one of tuples: 200 000 tuples make the garbage collector's passes slow.
    winners: dict[int, Document] = {}
    versions: dict[int, datetime] = {}
    ids: dict[int, Any] = {}
    for document in documents:
        owner = document.get("userId")
        if not isinstance(owner, ObjectId):
            continue
        user = index.get(owner.binary)
        if user is None:
            continue
        day = place(document, rules)
        if isinstance(day, str) or not from_phone(document, rules.sources):
            continue
        metrics = metrics_of(document)
        if metrics is None:
            continue
        updated: datetime = document["updatedAt"]
        if updated.tzinfo is None:
            updated = updated.replace(tzinfo=timezone.utc)
        key = user << _DAY_BITS | day + _DAY_SHIFT
        if key in winners:
            if not _is_later(updated, document.get("_id"), versions[key], ids[key]):
                superseded.add(updated, document.get("_id"))
                continue
            superseded.add(versions[key], ids[key])
        winners[key], versions[key], ids[key] = metrics, updated, document.get("_id")
    return winners


def _is_later(updated: datetime, identity: Any, than_updated: datetime, than_identity: Any) -> bool:
    """Whether (updatedAt, _id) is greater, ids of different types in BSON's order."""
    if updated != than_updated:
        return updated > than_updated
    return sort_key(identity) > sort_key(than_identity)


def _column(raw: list[Any], low: float, high: float) -> pa.Array:
    """The raw values of one metric as doubles, null where `check_value` gives none."""
    if _PLAIN_TYPES.issuperset(map(type, raw)):
        try:
            numbers = pa.array(raw, pa.float64())
        except (pa.ArrowInvalid, OverflowError):
            # An integer beyond 2**53, which is out of every range, but Arrow refuses the whole column.
            pass
        else:
            inside = pc.and_(pc.greater_equal(numbers, low), pc.less_equal(numbers, high))
            # + 0.0 turns -0.0 into 0.0, as in check_value.
            return pc.if_else(inside, pc.add(numbers, 0.0), pa.scalar(None, pa.float64()))
    return pa.array([check_value(value, low, high)[0] for value in raw], pa.float64())
