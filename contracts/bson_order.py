"""The order in which MongoDB sorts values of different BSON types.

Source: MongoDB manual, "Comparison/Sort Order" of BSON types.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Final

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

_UUID_SUBTYPE: Final = 4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

SortKey = tuple[Any, ...]


def sort_key(value: Any) -> SortKey:
    """A key by which values of any BSON types sort as in MongoDB.

    The first element is the rank of the type's class, so that keys of two classes never compare their
    contents. A type that BSON does not have sorts after all others, by its `repr`.
    """
    for kinds, key_of in _KEYS:
        if isinstance(value, kinds):
            return key_of(value)
    return (200, repr(value))


def _number(value: float | Decimal128) -> SortKey:
    """Numbers of all types by value, NaN before all others."""
    number: float | Decimal = value.to_decimal() if isinstance(value, Decimal128) else value
    # Integers are left out: one beyond the doubles makes math.isnan raise.
    is_nan = (
        number.is_nan() if isinstance(number, Decimal) else isinstance(number, float) and math.isnan(number)
    )
    return (3, 0) if is_nan else (3, 1, number)


def _document(value: Mapping[str, Any]) -> SortKey:
    """Field by field: the type's class, then the name, then the content."""
    return (5, tuple((sort_key(content)[0], str(name), sort_key(content)) for name, content in value.items()))


def _binary(value: bytes) -> SortKey:
    return (7, len(value), value.subtype if isinstance(value, Binary) else 0, bytes(value))


def _moment(value: datetime) -> SortKey:
    aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
    return (10, (aware - _EPOCH).total_seconds() * 1000)


def _code(value: Code) -> SortKey:
    return (13, str(value)) if value.scope is None else (14, str(value), sort_key(value.scope))


# The first that fits decides: ObjectId, the usual one, comes first; bool goes before int and Code before
# str, whose subclasses they are. Text sorts by code points, which is also the order of its UTF-8 bytes.
_KEYS: Final[tuple[tuple[type | tuple[type, ...], Callable[[Any], SortKey]], ...]] = (
    (ObjectId, lambda value: (8, value.binary)),
    (type(None), lambda _: (2,)),
    (bool, lambda value: (9, value)),
    ((int, float, Decimal128), _number),
    (Code, _code),
    (str, lambda value: (4, value)),
    (DBRef, lambda value: _document(value.as_doc())),
    (Mapping, _document),
    ((list, tuple), lambda value: (6, tuple(map(sort_key, value)))),
    (bytes, _binary),
    (uuid.UUID, lambda value: (7, len(value.bytes), _UUID_SUBTYPE, value.bytes)),
    (datetime, _moment),
    (DatetimeMS, lambda value: (10, int(value))),
    (Timestamp, lambda value: (11, value.time, value.inc)),
    (Regex, lambda value: (12, str(value.pattern), value.flags)),
    (MinKey, lambda _: (0,)),
    (MaxKey, lambda _: (127,)),
)
