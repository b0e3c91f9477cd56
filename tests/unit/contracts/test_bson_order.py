"""Ids of different BSON types compare as in MongoDB."""

from __future__ import annotations

import math
import random
import uuid
from datetime import datetime, timezone
from typing import Any

from bson import (
    Binary,
    Code,
    DatetimeMS,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)

from contracts.bson_order import sort_key

utc = timezone.utc


def test_ids_compare_as_in_bson() -> None:
    """MongoDB's order of types: MinKey, null, numbers, text, document, binary, ObjectId, bool, date, …"""
    ordered: list[Any] = [
        MinKey(), None, math.nan, -3, Decimal128("1.5"), 2, Int64(2**60), math.inf, "", "a", "é", {"a": 1},
        {"b": 1}, DBRef("c", 1), {"a": "x"}, [1], b"z", Binary(b"zz", 5), uuid.UUID(int=1),
        ObjectId(b"\0" * 12),
        ObjectId(b"\1" * 12), False, True, datetime(1960, 1, 1, tzinfo=utc), datetime(2025, 1, 1),  # noqa: DTZ001
        DatetimeMS(10**17), Timestamp(1, 2), Timestamp(2, 1), Regex("a"), Code("a"),
        Code("a", {"x": 1}), MaxKey(),
    ]  # fmt: skip
    shuffled = ordered.copy()
    random.Random(3).shuffle(shuffled)
    assert [repr(value) for value in sorted(shuffled, key=sort_key)] == [repr(value) for value in ordered]


def test_an_unknown_type_sorts_last() -> None:
    """It cannot come from the database, but it must not raise either."""
    assert max([object, MaxKey(), 1], key=sort_key) is object
