"""Texts of the stock pipeline's events as values: money in whole cents, quantities, ids, ISO times.

Spark hands over every value as the text that stood in the JSON, so no amount passes through a float of ours.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal

from analytics.texts import as_name, is_nothing, is_visible, is_writable, trimmed
from analytics.times import read_time

MAX_TEXT_LENGTH = 500
# Far above any invoice; sums of a hundred million such amounts still fit into 64 bits.
MAX_CENTS = 10**11
MAX_QUANTITY = 10**9

# `[0-9]`, because `\d` also takes digits of other scripts.
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?")
# A producer that computes in binary floating point errs by less: 59.970000000000006 is 59.97.
_FLOAT_NOISE = Decimal("0.000001")


class RefusedError(Exception):
    """A value breaks a rule; its argument is the rule's name."""


def text(value: str | None, name: str) -> str | None:
    """A text on one line (analytics/texts.py), None when it is empty. Raises RefusedError."""
    found = as_name(value or "")
    if len(found) > MAX_TEXT_LENGTH:
        raise RefusedError(f"{name}_too_long")
    if not is_writable(found):
        raise RefusedError(f"invalid_{name}")
    return found or None


def title(value: str | None, name: str) -> str:
    """A text for people that must be there. Raises RefusedError."""
    found = text(value, name)
    if found is None:
        raise RefusedError(f"missing_{name}")
    if _is_nested(found):
        raise RefusedError(f"invalid_{name}")
    return found


def identifier(value: str | None, name: str) -> str:
    """A text by which something is found again. Raises RefusedError when it is missing or cannot be one."""
    found = trimmed(value or "")
    if not found or is_nothing(found):
        raise RefusedError(f"missing_{name}")
    if len(found) > MAX_TEXT_LENGTH:
        raise RefusedError(f"{name}_too_long")
    if not is_visible(found) or _is_nested(found):
        raise RefusedError(f"invalid_{name}")
    return found


def _is_nested(found: str) -> bool:
    """Whether it was an object or a list, of which Spark gives the JSON text."""
    if found[0] not in "{[":
        return False
    try:
        json.loads(found)
    except (ValueError, RecursionError):
        return False
    return True


def number(value: str | None, name: str) -> Decimal:
    """A finite number that is not negative. Raises RefusedError."""
    found = trimmed(value or "")
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
    """The time that a text tells (analytics/times.py), UTC. Raises RefusedError."""
    if not trimmed(value or ""):
        raise RefusedError(f"missing_{name}")
    found = read_time(value or "")
    if found is None:
        raise RefusedError(f"invalid_{name}")
    return found


def fraction(value: str | None) -> str:
    """The digits of a `moment` behind its seconds, as they were sent; a datetime ends at microseconds."""
    found = re.search(r":[0-9]{2}[.,]([0-9]+)", value or "")
    return found[1] if found else ""


def day(value: str | None, name: str) -> date | None:
    """The UTC date of an ISO date or time, None when there is none. Raises RefusedError."""
    return moment(value, name).date() if trimmed(value or "") else None
