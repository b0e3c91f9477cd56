"""Takes secrets out of everything that is logged: text, nested values, tracebacks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, MutableMapping, Sequence, Set
from datetime import date
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

# Names and passwords that ought to be percent-encoded and are not hold `/` or `@` themselves, so everything
# up to the last `@` of the word goes, unless a port follows the host (http://host:5000/a@b): then only what
# the grammar allows as a password (RFC 3986, 3.2.1).
_WORD = re.compile(r"\S+")
_NAME = re.compile(r"://[^:/]*:")
_PORT = re.compile(r"\d{1,5}(?:[/?#,]|$)")
_PASSWORD = re.compile(r"[^/?#@]*(?:@|%40)")
# Where a service of the web has a user without a password, that is a token. Elsewhere it is a name.
_TOKEN_ALONE = re.compile(r"(https?)://[^\s:/?#@]+@", re.IGNORECASE)

# Deeper structures are shown by their repr; it also ends structures that contain themselves.
_MAX_DEPTH = 6


class Redactor:
    """Masks the given secret values and any `scheme://user:password@`; also a structlog processor."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self.set_secrets(secrets)

    def set_secrets(self, secrets: Sequence[str]) -> None:
        """Mask these values from now on, and no others; empty ones are left out."""
        forms = {form for secret in secrets for form in _forms(secret) if form}
        # Longest first: a secret that contains another one must go as a whole.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._secrets = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """`text` with every secret replaced by `***`."""
        if self._secrets is not None:
            text = self._secrets.sub(MASK, text)
        if "://" not in text:
            return text
        return _TOKEN_ALONE.sub(rf"\1://{MASK}@", _WORD.sub(_without_passwords, text))

    def value(self, value: Any, depth: int = 0) -> Any:
        """`value` as plain JSON values, secrets masked in every string of it, dictionary keys included."""
        if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if depth < _MAX_DEPTH and isinstance(value, Mapping):
            return {self.text(_shown(key)): self.value(item, depth + 1) for key, item in value.items()}
        if depth < _MAX_DEPTH and isinstance(value, (list, tuple, Set)):
            return [self.value(item, depth + 1) for item in value]
        return self.text(_shown(value))

    def __call__(self, _logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> dict[str, Any]:
        """Mask the values of `event_dict`; as a processor after tracebacks became text, before rendering."""
        return {self.text(str(key)): self.value(value) for key, value in event_dict.items()}


def _without_passwords(found: re.Match[str]) -> str:
    """The word with `***:***@` for each name and password; in linear time, however often `://` comes."""
    word = found[0]
    last = max(word.rfind("@"), word.rfind("%40")) if "://" in word else -1
    parts, position = [], 0
    for name in _NAME.finditer(word):
        if not position <= name.start() < name.end() <= last:
            continue
        if not _PORT.match(word, name.end()):
            end = last + (1 if word[last] == "@" else 3)
        elif password := _PASSWORD.match(word, name.end()):
            end = password.end()
        else:
            continue
        parts += [word[position : name.start()], f"://{MASK}:{MASK}@"]
        position = end
    return "".join([*parts, word[position:]])


def _forms(secret: str) -> list[str]:
    """The ways in which libraries show one secret: as given, URL-encoded or decoded, escaped in a repr."""
    plain = [secret, unquote(secret)]
    encoded = [quote(text, safe="") for text in plain] + [quote_plus(text) for text in plain]
    escaped = [json.dumps(text)[1:-1] for text in plain] + [repr(text)[1:-1] for text in plain]
    return plain + encoded + escaped


def _shown(value: Any) -> str:
    try:
        return value.isoformat() if isinstance(value, date) else str(value)
    except Exception:  # noqa: BLE001 - a broken __str__ must not break the line that would explain it
        return f"<{type(value).__name__}>"
