"""Texts as every part takes them: what is white space, and what a page or a spreadsheet may be given."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# What means nothing at the ends of a text: white space of Unicode and Python, and the byte order mark.
BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
)
NBSP = "\xa0"
_SPACES = re.compile(rf"[^\S{NBSP}]+")
# A spreadsheet runs a cell that begins so, some also with the full-width forms (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")


def printable(value: Any) -> str:
    """`value` as one line without control and formatting characters."""
    text = _SPACES.sub(" ", str(value)).strip()
    return "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co"))


def inert_cell(text: str) -> str:
    """`text` for a cell of CSV: one that a spreadsheet would run begins with an apostrophe instead."""
    return f"'{printable(text)}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else printable(text)
