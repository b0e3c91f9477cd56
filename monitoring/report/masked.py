"""What a value looks like, without what it says: examples for a page that may be sent to anybody."""

from __future__ import annotations

_LENGTH = 120


def shape(text: str) -> str:
    """`text` with `9` for each digit, `x` or `X` for each letter and `·` for what cannot be seen; cut."""
    return "".join(map(_shape_of, text[:_LENGTH])) + ("…" if len(text) > _LENGTH else "")


def _shape_of(char: str) -> str:
    if char.isnumeric():
        return "9"
    if char.isalpha():
        return "X" if char.isupper() else "x"
    if char.isascii() and char.isprintable():
        return char
    return "·"
