"""An example shows the shape of a value, and nothing that it says."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.report.masked import shape


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("many", "xxxx"),
        ("-3.5", "-9.9"),
        ("2026-13-45", "9999-99-99"),
        ("Jürgen ②", "Xxxxxx 9"),
        ("a\x1b[2J", "x·[9X"),
    ],
)
def test_digits_and_letters_are_replaced(text: str, shown: str) -> None:
    """Signs stay, because a wrong one is often the fault."""
    assert shape(text) == shown


@given(st.text())
def test_no_letter_and_no_digit_of_the_text_is_left(text: str) -> None:
    """Of any script; what cannot be seen is a dot."""
    shown = shape(text)
    assert len(shown) <= 121
    assert all(char in "xX9·…" or unicodedata.category(char)[0] in "PSZ" for char in shown)
    assert all(char.isascii() or char in "·…" for char in shown)
