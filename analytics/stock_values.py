"""Texts of the stock pipeline's events as values: money in whole cents, quantities, ids, ISO times.

Spark hands over every value as the text that stood in the JSON, so no amount passes through a float of ours.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from decimal import Decimal

MAX_TEXT_LENGTH = 500
# Far above any invoice; sums of a hundred million such amounts still fit into 64 bits.
MAX_CENTS = 10**11
MAX_QUANTITY = 10**9

# `[0-9]`, because `\d` also takes digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,40}))?)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
# What a producer that computes in binary floating point is off by: 59.970000000000006 is 59.97.
_FLOAT_NOISE = Decimal("0.000001")


class RefusedError(Exception):
    """A value breaks a rule; its argument is the rule's name."""


def text(value: str | None, name: str) -> str | None:
    """A trimmed text, None when it is empty. Raises RefusedError when it is too long."""
    found = (value or "").strip()
    if len(found) > MAX_TEXT_LENGTH:
        raise RefusedError(f"{name}_too_long")
    return found or None


def identifier(value: str | None, name: str) -> str:
    """A text that names something. Raises RefusedError when it is missing or cannot be a name."""
    found = text(value, name)
    if found is None:
        raise RefusedError(f"missing_{name}")
    # Of an object or a list Spark gives the JSON text.
    if found[0] in "{[" or not found.isprintable():
        raise RefusedError(f"invalid_{name}")
    return found


def number(value: str | None, name: str) -> Decimal:
    """A finite number that is not negative. Raises RefusedError."""
    found = (value or "").strip()
    if not found:
        raise RefusedError(f"missing_{name}")
    if not _NUMBER.fullmatch(found):
        raise RefusedError(f"invalid_{name}")
    parsed = Decimal(found)
    if parsed < 0:
        raise RefusedError(f"negative_{name}")
    return parsed


def cents(value: str | None, name: str) -> int:
    """An amount of money in whole cents, float noise below 10⁻⁶ cents removed. Raises RefusedError."""
    amount = number(value, name)
    # Before the arithmetic: 1e99 has more digits than the context keeps.
    if amount * 100 > MAX_CENTS:
        raise RefusedError(f"{name}_too_large")
    whole = (amount * 100).to_integral_value()
    if abs(amount * 100 - whole) > _FLOAT_NOISE:
        raise RefusedError(f"{name}_has_fractions_of_a_cent")
    return int(whole)


def quantity(value: str | None, name: str) -> int:
    """A whole number of pieces, 0 included. Raises RefusedError."""
    amount = number(value, name)
    if amount > MAX_QUANTITY:
        raise RefusedError(f"{name}_too_large")
    if amount != amount.to_integral_value():
        raise RefusedError(f"{name}_not_whole")
    return int(amount)


def moment(value: str | None, name: str) -> datetime:
    """An ISO 8601 time as UTC, which is also assumed; a date alone is its midnight. Raises RefusedError."""
    found = (value or "").strip()
    if not found:
        raise RefusedError(f"missing_{name}")
    matched = _TIME.fullmatch(found)
    if matched is None:
        raise RefusedError(f"invalid_{name}")
    day, minutes, seconds, fraction, offset = matched.groups()
    zone = "+00:00" if offset in (None, "Z") else f"{offset[:3]}:{offset[-2:] if len(offset) > 3 else '00'}"
    clock = f"{minutes or '00:00'}:{seconds or '00'}.{(fraction or '').ljust(6, '0')[:6]}"
    try:
        return datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise RefusedError(f"invalid_{name}") from None


def fraction(value: str | None) -> str:
    """The digits of a `moment` behind its seconds, as they were sent: a time of ours ends at microseconds."""
    found = re.search(r":[0-9]{2}\.([0-9]+)", value or "")
    return found[1] if found else ""


def day(value: str | None, name: str) -> date | None:
    """The UTC date of an ISO date or time, None when there is none. Raises RefusedError."""
    return moment(value, name).date() if (value or "").strip() else None
