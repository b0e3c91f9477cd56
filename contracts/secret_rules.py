"""What a secret that people set must be like; each function returns it, or raises ValueError."""

from __future__ import annotations

import re

from pydantic import SecretStr


def long_enough(value: SecretStr) -> SecretStr:
    """A password of at least 8 characters, or none."""
    if 0 < len(value.get_secret_value()) < 8:
        raise ValueError("must have at least 8 characters")
    return value


def header_value(value: SecretStr) -> SecretStr:
    """A token that fits into a header of HTTP, or none."""
    if not re.fullmatch("[!-~]*", value.get_secret_value()):
        raise ValueError("must consist of visible ASCII characters, without spaces and line ends")
    return value


def long_token(value: SecretStr) -> SecretStr:
    """A token for a header that nobody guesses, however often he may try; or none."""
    if 0 < len(value.get_secret_value()) < 16:
        raise ValueError("must have at least 16 characters")
    return header_value(value)
