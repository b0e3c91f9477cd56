"""Finds merged, hidden and valueless cells of a sheet, which openpyxl does not tell when it reads by rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from openpyxl.utils.cell import range_boundaries

# A sheet whose merged ranges have more rows than this is refused.
_MOST_MERGED_ROWS: Final = 500_000
_MERGED: Final = re.compile(rb"""<(?:\w+:)?mergeCell\s[^>]*?ref=["']([A-Z0-9:$]+)["']""")
_HIDDEN_ROW: Final = re.compile(
    rb"""<(?:\w+:)?row\s(?=[^>]*\bhidden=["'](?:1|true)["'])[^>]*?\br=["']([0-9]+)["']"""
)
_HIDDEN_COLUMN: Final = re.compile(rb"""<(?:\w+:)?col\s(?=[^>]*\bhidden=["'](?:1|true)["'])""")
# A cell with a formula and no value; an empty text has an empty value.
_EMPTY_FORMULA: Final = re.compile(
    rb"""<(?:\w+:)?c\s[^>]*?\br=["']([A-Z]+[0-9]+)["'][^>]*>\s*<(?:\w+:)?f(?:\s[^>]*)?"""
    rb"""(?:/>|>[^<]*</(?:\w+:)?f>)\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"""
)
_IS_TEXT: Final = re.compile(rb"""\bt=["']str["']""")


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged range; rows and columns count from 1, both ends belong to it."""

    name: str
    first_column: int
    first_row: int
    last_column: int
    last_row: int


@dataclass(frozen=True, slots=True)
class Marks:
    """Merged ranges by each of their rows, hidden rows, whether columns are hidden, formulas without value.

    `too_many`: there are too many merged ranges to look at.
    """

    merged: Mapping[int, Sequence[Merged]] = field(default_factory=dict)
    hidden_rows: frozenset[int] = frozenset()
    has_hidden_columns: bool = False
    empty_formulas: frozenset[str] = frozenset()
    too_many: bool = False


def read_marks(xml: bytes) -> Marks:
    """The marks of a sheet; `xml` is its part of the workbook's file."""
    merged: dict[int, list[Merged]] = {}
    left = _MOST_MERGED_ROWS
    for found in _MERGED.finditer(xml):
        name = found[1].decode().replace("$", "")
        one = Merged(name, *(int(edge or 0) for edge in range_boundaries(name)))
        left -= one.last_row - one.first_row + 1
        if left < 0:
            return Marks(too_many=True)
        for row in range(one.first_row, one.last_row + 1):
            merged.setdefault(row, []).append(one)
    empty = frozenset(
        found[1].decode()
        for found in _EMPTY_FORMULA.finditer(xml)
        if not _IS_TEXT.search(found[0].split(b">")[0])
    )
    hidden = frozenset(int(found[1]) for found in _HIDDEN_ROW.finditer(xml))
    return Marks(merged, hidden, _HIDDEN_COLUMN.search(xml) is not None, empty)
