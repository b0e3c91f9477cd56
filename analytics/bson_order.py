"""The order in which MongoDB sorts values of different BSON types.

Source: MongoDB manual, "Comparison/Sort Order" of BSON types.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

_UUID_SUBTYPE = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

SortKey = tuple[Any, ...]


def sort_key(value: Any) -> SortKey:
    """A key by which values of any BSON types sort as in MongoDB.

    The first element is the rank of the type's class, so that keys of two classes never compare their
    contents. A type that BSON does not have sorts after all others, by its `repr`.
    """
    if isinstance(value, ObjectId):
        return (8, value.binary)
    for rank_of in (_scalar_key, _structure_key):
        key = rank_of(value)
        if key is not None:
            return key
    return (100, repr(value))


def _scalar_key(value: Any) -> SortKey | None:
    if value is None:
        return (2,)
    if isinstance(value, bool):
        return (9, value)
    if isinstance(value, DatetimeMS):
        return (10, int(value))
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        return (10, (aware - _EPOCH).total_seconds() * 1000)
    if isinstance(value, int | float | Decimal128):
        return _number_key(value)
    if isinstance(value, Code):
        return (13, str(value)) if value.scope is None else (14, str(value), sort_key(value.scope))
    if isinstance(value, str):
        # By code points, which is also the order of the UTF-8 bytes that MongoDB compares.
        return (4, value)
    if isinstance(value, MinKey):
        return (0,)
    if isinstance(value, MaxKey):
        return (127,)
    return None


def _number_key(value: float | Decimal128) -> SortKey:
    """Numbers of all types by value, NaN before all others."""
    number: float | Decimal = value.to_decimal() if isinstance(value, Decimal128) else value
    is_nan = number.is_nan() if isinstance(number, Decimal) else math.isnan(number)
    return (3, 0) if is_nan else (3, 1, number)


def _structure_key(value: Any) -> SortKey | None:
    if isinstance(value, DBRef):
        value = value.as_doc()
    if isinstance(value, Mapping):
        # Field by field: the type's class, then the name, then the content.
        parts = [(sort_key(content)[0], str(name), sort_key(content)) for name, content in value.items()]
        return (5, tuple(parts))
    if isinstance(value, list | tuple):
        return (6, tuple(sort_key(item) for item in value))
    if isinstance(value, uuid.UUID):
        return (7, len(value.bytes), _UUID_SUBTYPE, value.bytes)
    if isinstance(value, bytes):
        return (7, len(value), value.subtype if isinstance(value, Binary) else 0, bytes(value))
    if isinstance(value, Timestamp):
        return (11, value.time, value.inc)
    if isinstance(value, Regex):
        return (12, str(value.pattern), value.flags)
    return None
