"""Names that people set: each function returns its text, or raises ValueError."""

from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo


def topic_name(name: str) -> str:
    """The name of a Kafka topic."""
    if not re.fullmatch("[A-Za-z0-9._-]{1,249}", name) or name in (".", ".."):
        raise ValueError(f"{name!r} is not the name of a Kafka topic")
    return name


def currency_code(name: str) -> str:
    """The code of a currency by ISO 4217, in any case."""
    if not re.fullmatch("[A-Za-z]{3}", name):
        raise ValueError(f"{name!r} is not the code of a currency, three letters such as EUR or USD")
    return name.upper()


def known_zone(name: str) -> str:
    """The IANA name of a time zone."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from error
    return name


def seconds_or_auto(value: Any) -> Any:
    """`auto`, or whole seconds as an int; raises ValueError for anything else."""
    text = str(value).strip()
    if text == "auto":
        return text
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > 10**9:
        raise ValueError("must be auto, or a whole number of seconds from 0 to 1000000000")
    return int(text)
