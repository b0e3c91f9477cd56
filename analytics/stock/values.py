"""Values of the stock pipeline's events: money in whole cents, quantities, ids, ISO times.

Each function takes a value as `analytics.kafka_json.read_object` gives it: a number is the text that stood in
the JSON, and only a text can be a value. It raises RefusedError.
"""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

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


def is_given(value: Any) -> bool:
    """Whether there is a value; a text of white space is none."""
    return value is not None and not (isinstance(value, str) and not trimmed(value))


def _text(value: Any, name: str) -> str:
    """`value` without the white space around it, empty when there is none; a truth or a list is refused."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RefusedError(f"invalid_{name}")
    return trimmed(value)


def text(value: Any, name: str) -> str | None:
    """A text on one line (analytics/texts.py), None when it is empty."""
    found = as_name(_text(value, name))
    if len(found) > MAX_TEXT_LENGTH:
        raise RefusedError(f"{name}_too_long")
    if not is_writable(found):
        raise RefusedError(f"invalid_{name}")
    return found or None


def title(value: Any, name: str) -> str:
    """A text for people that must be there."""
    found = text(value, name)
    if found is None:
        raise RefusedError(f"missing_{name}")
    if _is_nested(found):
        raise RefusedError(f"invalid_{name}")
    return found


def identifier(value: Any, name: str) -> str:
    """A text by which something is found again."""
    found = _text(value, name)
    if not found or is_nothing(found):
        raise RefusedError(f"missing_{name}")
    if len(found) > MAX_TEXT_LENGTH:
        raise RefusedError(f"{name}_too_long")
    if not is_visible(found) or _is_nested(found):
        raise RefusedError(f"invalid_{name}")
    return found


def _is_nested(found: str) -> bool:
    """Whether it is the JSON text of an object or a list, that was sent as a text."""
    if found[0] not in "{[":
        return False
    try:
        json.loads(found)
    except (ValueError, RecursionError):
        return False
    return True


def number(value: Any, name: str) -> Decimal:
    """A finite number that is not negative."""
    found = _text(value, name)
    if not found:
        raise RefusedError(f"missing_{name}")
    if not _NUMBER.fullmatch(found):
        raise RefusedError(f"invalid_{name}")
    parsed = Decimal(found)
    if parsed < 0:
        raise RefusedError(f"negative_{name}")
    return parsed


def cents(value: Any, name: str) -> int:
    """An amount of money in whole cents, float noise below 10⁻⁶ cents removed."""
    amount = number(value, name)
    # Before the arithmetic: 1e99 has more digits than the context keeps.
    if amount * 100 > MAX_CENTS:
        raise RefusedError(f"{name}_too_large")
    whole = (amount * 100).to_integral_value()
    if abs(amount * 100 - whole) > _FLOAT_NOISE:
        raise RefusedError(f"{name}_has_fractions_of_a_cent")
    return int(whole)


def quantity(value: Any, name: str) -> int:
    """A whole number of pieces, 0 included."""
    amount = number(value, name)
    if amount > MAX_QUANTITY:
        raise RefusedError(f"{name}_too_large")
    if amount != amount.to_integral_value():
        raise RefusedError(f"{name}_not_whole")
    return int(amount)


def moment(value: Any, name: str) -> datetime:
    """The time that a text tells (analytics/times.py), UTC."""
    given = _text(value, name)
    if not given:
        raise RefusedError(f"missing_{name}")
    found = read_time(given)
    if found is None:
        raise RefusedError(f"invalid_{name}")
    return found


def fraction(value: str) -> str:
    """The digits of a `moment` behind its seconds, as they were sent; a datetime ends at microseconds."""
    found = re.search(r":[0-9]{2}[.,]([0-9]+)", value)
    return found[1] if found else ""


def day(value: Any, name: str) -> date | None:
    """The UTC date of an ISO date or time, None when there is none."""
    return moment(value, name).date() if is_given(value) else None
