"""An Excel workbook as sheets of texts, each row with its number; bounded in size whatever the file holds."""

from __future__ import annotations

import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from openpyxl import load_workbook
from openpyxl.utils.cell import get_column_letter

from accounting.cells import FORMULA, bare, is_blank, read_cell, written
from accounting.sheet_marks import Marks, Merged, read_marks
from analytics.texts import shown

PRODUCTS, CLIENTS, INVOICES, DETAILS = "Products", "Clients", "Invoices", "Invoice_Details"
# Sheet: columns that it must have.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    PRODUCTS: (
        "product_id",
        "name",
        "category",
        "quantity",
        "buy_price",
        "sell_price",
        "last_movement",
        "expiry_date",
        "batch_no",
    ),
    CLIENTS: ("client_id", "name", "email", "phone", "total_revenue_generated"),
    INVOICES: ("invoice_id", "client_id", "timestamp", "total_amount"),
    DETAILS: ("invoice_id", "product_id", "quantity"),
}
MAX_BYTES: Final = 20_000_000
MAX_ROWS: Final = 50_000
_MAX_UNPACKED_BYTES: Final = 250_000_000
# More columns than these are not looked at.
_MAX_COLUMNS: Final = 60
# The last one that Excel has.
_LAST_ROW: Final = 1_048_576
# How a file begins that is encrypted, or of Excel 2003 and before.
_COMPOUND_FILE: Final = bytes.fromhex("D0CF11E0A1B11AE1")
# In these a merged range counts for each of its rows: it names what several rows belong to.
_FILLED: Final[Mapping[str, tuple[str, ...]]] = {
    DETAILS: ("invoice_id", "product_id"),
    INVOICES: ("client_id",),
}


class WorkbookError(Exception):
    """The file as a whole cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not blank: its number as Excel shows it, its texts by column, what is wrong with them.

    `notes` say where a cell was read as it is shown, not as it is stored; `unclear` are the
    columns whose text cannot be known.
    """

    number: int
    values: Mapping[str, str]
    faults: Sequence[str] = ()
    notes: Sequence[str] = ()
    unclear: Sequence[str] = ()


@dataclass(slots=True)
class Sheet:
    """The rows of a sheet; `fault` says why none of them can be used, `ignored` names other columns.

    `hidden` names parts that were read although a person cannot see them.
    """

    rows: list[Row] = field(default_factory=list)
    fault: str = ""
    ignored: Sequence[str] = ()
    hidden: str = ""


def read_workbook(content: bytes) -> dict[str, Sheet]:
    """All sheets of COLUMNS by name; a sheet or column that is missing is a fault of its sheet.

    Names are compared by their letters and digits, without case. Raises WorkbookError.
    """
    _check_size(content)
    try:
        book: Any = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        by_name = defaultdict(list)
        for sheet in book.worksheets:
            by_name[_plain(sheet.title)].append(sheet)
        left = MAX_ROWS
        sheets = {}
        for name in COLUMNS:
            sheets[name] = _only_sheet(name, by_name[_plain(name)], left)
            left -= len(sheets[name].rows)
    except WorkbookError:
        raise
    # A damaged file fails somewhere within openpyxl, in as many ways as a file can be damaged.
    except Exception as error:
        raise WorkbookError(
            f"The file cannot be read as an Excel workbook ({type(error).__name__}): open it in Excel and "
            "save it as .xlsx."
        ) from error
    return sheets


def _check_size(content: bytes) -> None:
    if len(content) > MAX_BYTES:
        raise WorkbookError(f"The file is larger than {MAX_BYTES // 10**6} MB: divide it.")
    if content.startswith(_COMPOUND_FILE):
        raise WorkbookError(
            "The file has a password, or is an old .xls: open it in Excel, remove the password and save it "
            "as .xlsx."
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise WorkbookError(
            "The file is no Excel workbook of the .xlsx kind: open it in Excel and save it as .xlsx."
        ) from None
    if unpacked > _MAX_UNPACKED_BYTES:
        raise WorkbookError(f"The file unpacks to {unpacked // 10**6} MB, which is too much: divide it.")


def _only_sheet(name: str, found: Sequence[Any], limit: int) -> Sheet:
    if not found:
        return Sheet(fault=f"The sheet {name} is missing.")
    if len(found) > 1:
        titles = ", ".join(f'"{shown(sheet.title)}"' for sheet in found)
        return Sheet(fault=f"Several sheets are called {name}: {titles}; leave one.")
    sheet = found[0]
    with sheet._get_source() as part:
        marks = read_marks(part)
    if marks.fault:
        return Sheet(fault=f"The sheet {name} {marks.fault}")
    is_wide = (sheet.max_column or 0) > _MAX_COLUMNS
    # What the file says of its own size may be wrong.
    sheet.reset_dimensions()
    rows = _filled_rows(sheet, marks.last_row)
    read = _SheetReader(name, sheet.parent.epoch, marks, is_wide).read(rows, limit)
    hidden = [f"row {number}" for number in sorted(marks.hidden_rows & {row.number for row in read.rows})[:5]]
    hidden += ["columns"] * marks.has_hidden_columns + ["the sheet"] * (sheet.sheet_state != "visible")
    read.hidden = ", ".join(hidden)
    return read


class _SheetReader:
    """Reads the rows of one sheet; `epoch` is where the workbook counts days from.

    `is_wide`: there may be columns that are not looked at.
    """

    def __init__(self, name: str, epoch: datetime, marks: Marks, is_wide: bool) -> None:
        self._name = name
        self._columns = COLUMNS[name]
        self._epoch = epoch
        self._marks = marks
        self._within = f", within the first {_MAX_COLUMNS} columns" if is_wide else ""
        self._header = 0
        self._places: dict[str, int] = {}
        # The texts of merged ranges, which only their first cells hold.
        self._merged: dict[tuple[Merged, str], str] = {}

    def read(self, rows: Iterator[tuple[int, Sequence[Any]]], limit: int) -> Sheet:
        """Read `rows`, of which the first is the header. Raises WorkbookError for more than `limit` rows."""
        self._header, header = next(rows, (0, ()))
        found = Sheet(fault=self._find_columns(header))
        if found.fault:
            return found
        found.ignored = [
            shown(str(cell.value))
            for index, cell in enumerate(header)
            if cell.value is not None and index not in self._places.values()
        ]
        for number, cells in rows:
            if len(found.rows) >= limit:
                raise WorkbookError(f"The workbook has more than {MAX_ROWS:,} rows: divide it.")
            row = self._row(number, cells)
            if row is not None:
                found.rows.append(row)
        return found

    def _find_columns(self, header: Sequence[Any]) -> str:
        """Returns the places of the columns in `header`, and its faults."""
        where = f"row {self._header}" if self._header else "an empty sheet"
        named = defaultdict(list)
        for index, cell in enumerate(header):
            if cell.value is not None:
                named[_plain(str(cell.value))].append(index)
        found = {column: named[_plain(column)] for column in self._columns}
        missing = [column for column, indexes in found.items() if not indexes]
        if missing:
            return f"Columns are missing in {where} of {self._name}{self._within}: {', '.join(missing)}."
        twice = [
            f"{column} ({', '.join(map(get_column_letter, (index + 1 for index in indexes)))})"
            for column, indexes in found.items()
            if len(indexes) > 1
        ]
        if twice:
            return f"Columns of {self._name} are there more than once: {', '.join(twice)}; leave one."
        self._places = {column: indexes[0] for column, indexes in found.items()}
        return ""

    def _row(self, number: int, cells: Sequence[Any]) -> Row | None:
        """The texts of the columns; None when all of those are blank."""
        values, faults, notes, unclear = {}, [], [], []
        merged = self._marks.merged.get(number, ())
        for column, place in self._places.items():
            ref = f"{get_column_letter(place + 1)}{number}"
            if place < len(cells):
                cell = read_cell(cells[place], column, self._epoch)
                values[column] = cell.text
                faults += [cell.fault] * bool(cell.fault)
                unclear += [column] * bool(cell.fault)
                notes += [cell.note] * bool(cell.note)
            else:
                values[column] = ""
            if ref in self._marks.empty_formulas:
                faults.append(f"{column} {FORMULA}")
                unclear.append(column)
        if not any(values.values()) and not faults:
            return None
        for one in merged:
            faults += self._merge(one, number, values)
        return Row(number, values, faults, notes, unclear)

    def _merge(self, merged: Merged, number: int, values: dict[str, str]) -> list[str]:
        """Take `merged` into account in row `number`; returns what is wrong with it."""
        touched = [
            column
            for column, place in self._places.items()
            if merged.first_column <= place + 1 <= merged.last_column
        ]
        is_filled = merged.first_column == merged.last_column and merged.first_row > self._header
        if not touched or not is_filled or touched[0] not in _FILLED.get(self._name, ()):
            return [f"{column} is in the merged cells {merged.name}: unmerge them." for column in touched]
        (column,) = touched
        if number == merged.first_row:
            self._merged[merged, column] = values[column]
        values[column] = self._merged.get((merged, column), "")
        return []


def _filled_rows(sheet: Any, last: int) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield the rows of `sheet` up to `last` that hold anything, with their numbers."""
    gap: Sequence[Any] = ()
    rows = sheet.iter_rows(max_row=min(max(last, 1), _LAST_ROW), max_col=_MAX_COLUMNS)
    for number, cells in enumerate(rows, start=1):
        # Rows that the file does not have are all one object, and there may be a million.
        if cells is gap:
            continue
        if all(is_blank(cell.value) for cell in cells):
            gap = cells
        else:
            yield number, cells


def _plain(name: str) -> str:
    return bare(written(name))
