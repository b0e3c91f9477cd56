"""Names that people set: each function returns its text, or raises ValueError."""

from __future__ import annotations

import re


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
