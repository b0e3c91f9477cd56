"""Finds merged, hidden and valueless cells of a sheet, which openpyxl does not tell when it reads by rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Final
from xml.etree.ElementTree import Element

from openpyxl.utils.cell import get_column_letter, range_boundaries
from openpyxl.xml.constants import SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse

# A sheet whose merged ranges have more rows than this is refused.
_MOST_MERGED_ROWS: Final = 500_000
_ROW, _COLUMN, _MERGED, _FORMULA, _VALUE = (
    f"{{{SHEET_MAIN_NS}}}{tag}" for tag in ("row", "col", "mergeCell", "f", "v")
)


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

    `last_row` is the last one that has more than formats.
    `fault` says why the sheet cannot be used; its subject is the sheet.
    """

    merged: Mapping[int, Sequence[Merged]] = field(default_factory=dict)
    hidden_rows: frozenset[int] = frozenset()
    has_hidden_columns: bool = False
    empty_formulas: frozenset[str] = frozenset()
    last_row: int = 0
    fault: str = ""


def read_marks(part: IO[bytes]) -> Marks:
    """The marks of a sheet; `part` is its XML. Raises ParseError or ValueError when that is damaged."""
    merged: dict[int, list[Merged]] = {}
    hidden: set[int] = set()
    empty: set[str] = set()
    columns = False
    number, filled, left = 0, 0, _MOST_MERGED_ROWS
    for _, element in iterparse(part):
        if element.tag == _ROW:
            last, number = number, int(element.get("r", number + 1))
            if number <= last:
                return Marks(fault="has its rows out of order: open it in Excel and save it as .xlsx.")
            if _is_hidden(element, "ht"):
                hidden.add(number)
            if any(len(cell) for cell in element):
                filled = number
                empty.update(_empty_formulas(element, number))
            element.clear()
        elif element.tag == _COLUMN:
            columns |= _is_hidden(element, "width")
        elif element.tag == _MERGED:
            one = _merged(element.get("ref", ""))
            left -= one.last_row - one.first_row + 1
            if left < 0:
                return Marks(fault="has too many merged cells: unmerge them.")
            for row in range(one.first_row, one.last_row + 1):
                merged.setdefault(row, []).append(one)
    return Marks(merged, frozenset(hidden), columns, frozenset(empty), filled)


def _is_hidden(element: Element, size: str) -> bool:
    return element.get("hidden") in ("1", "true") or float(element.get(size, 1)) == 0


def _empty_formulas(row: Element, number: int) -> Iterator[str]:
    """Yield the cells of a row with a formula and no value; a text may be empty."""
    for place, cell in enumerate(row, start=1):
        if (
            cell.find(_FORMULA) is not None
            and not cell.findtext(_VALUE, "").strip()
            and cell.get("t") not in ("str", "inlineStr")
        ):
            # A file may leave the cells' names out.
            yield cell.get("r") or f"{get_column_letter(place)}{number}"


def _merged(name: str) -> Merged:
    plain = name.replace("$", "")
    return Merged(plain, *(int(edge or 0) for edge in range_boundaries(plain)))
