"""Reads stored values as the types that the pages work with; a value of another type counts as missing.

The collection may hold documents of other programs, and one of them must not take a page down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, get_type_hints

from bson import Decimal128

_MAX_TEXT = 500

T = TypeVar("T")
# Where a value stands in a document (names with dots between them), and how it is read.
Place = tuple[str, Callable[[Any], Any]]


def number(value: Any) -> float | None:
    """Returns `value` as float where it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def moment(value: Any) -> datetime | None:
    """Returns `value` as aware UTC where it is a date, else None (also for dates beyond Python's years)."""
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


def day(value: Any) -> date | None:
    """The day of a date in UTC, else None."""
    found = moment(value)
    return found.date() if found else None


def whole(value: Any) -> int:
    """A number without its decimals; what is none counts as 0."""
    return int(number(value) or 0)


def mapping(value: Any) -> Mapping[str, Any]:
    """A document within another, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def amount(value: Any) -> Decimal | None:
    """Returns `value` as a decimal where it is a finite amount, else None."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    elif isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    return value if isinstance(value, Decimal) and value.is_finite() else None


def text(value: Any) -> str:
    """Returns `value`, of whatever type, as text of at most 500 characters; None is empty."""
    return "" if value is None else str(value)[:_MAX_TEXT]


def read_places(places: Mapping[str, Place], document: Mapping[str, Any]) -> dict[str, Any]:
    """What `document` has at each of `places`, by its name there."""
    found = {}
    for name, (path, read) in places.items():
        value: Any = document
        for part in path.split("."):
            value = mapping(value).get(part)
        found[name] = read(value)
    return found


def from_document(kind: Callable[..., T], document: Mapping[str, Any]) -> T:
    """Make a dataclass whose fields are all annotated with their Place."""
    return kind(**read_places(_places_of(kind), document))


@cache
def _places_of(kind: object) -> dict[str, Place]:
    return {name: hint.__metadata__[0] for name, hint in get_type_hints(kind, include_extras=True).items()}
