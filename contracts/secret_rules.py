"""What a secret that people set must be like; each function returns it, or raises ValueError."""

from __future__ import annotations

import re
from urllib.parse import unquote

from pydantic import SecretStr

# RFC 9110, 5.6.2.
_HEADER_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"


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


def headers_text(value: SecretStr) -> SecretStr:
    """Headers of HTTP as OpenTelemetry writes them, `name=value,name=value`, or none."""
    if value.get_secret_value():
        headers_of(value.get_secret_value())
    return value


def headers_of(text: str) -> dict[str, str]:
    """Returns the headers of `name=value,name=value`, whose values are percent-encoded."""
    found = {}
    for part in text.split(",") if text else ():
        name, equals, encoded = part.strip().partition("=")
        name, decoded = name.strip(), unquote(encoded.strip())
        if not (equals and re.fullmatch(_HEADER_NAME, name) and re.fullmatch("[!-~]([ -~]*[!-~])?", decoded)):
            raise ValueError("must be name=value, several separated by commas; values percent-encoded")
        found[name] = decoded
    return found
