"""An Excel workbook as sheets of texts, each row with its number; bounded in size whatever the file holds."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from openpyxl import load_workbook

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
_EMPTY_ROWS_IN_A_ROW: Final = 100_000
_ERROR: Final = "e"


class WorkbookError(Exception):
    """The file as a whole cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not blank: its number as Excel shows it, its texts by column, and Excel's own errors."""

    number: int
    values: Mapping[str, str]
    faults: Sequence[str] = ()


@dataclass(slots=True)
class Sheet:
    """The rows of a sheet; `fault` says why none of them can be used, `ignored` names other columns."""

    rows: list[Row] = field(default_factory=list)
    fault: str = ""
    ignored: Sequence[str] = ()


def read_workbook(content: bytes) -> dict[str, Sheet]:
    """All sheets of COLUMNS by name; a sheet or column that is missing is a fault of its sheet.

    Names are compared without case, spaces and underscores. Raises WorkbookError.
    """
    _check_size(content)
    try:
        book: Any = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        by_name = {_plain(sheet.title): sheet for sheet in book.worksheets}
        left = MAX_ROWS
        sheets = {}
        for name, columns in COLUMNS.items():
            sheets[name] = _read_sheet(name, by_name.get(_plain(name)), columns, left)
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
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise WorkbookError(
            "The file is no Excel workbook of the .xlsx kind: open it in Excel and save it as .xlsx."
        ) from None
    if unpacked > _MAX_UNPACKED_BYTES:
        raise WorkbookError(f"The file unpacks to {unpacked // 10**6} MB, which is too much: divide it.")


def _read_sheet(name: str, sheet: Any, columns: Sequence[str], limit: int) -> Sheet:
    if sheet is None:
        return Sheet(fault=f"The sheet {name} is missing.")
    # What the file says of its own size may be wrong.
    sheet.reset_dimensions()
    rows = _filled_rows(sheet)
    number, header = next(rows, (0, ()))
    names = {_plain(str(cell.value)): index for index, cell in enumerate(header) if cell.value is not None}
    missing = [column for column in columns if _plain(column) not in names]
    if missing:
        where = f"row {number}" if number else "an empty sheet"
        return Sheet(fault=f"Columns are missing in {where} of {name}: {', '.join(missing)}.")
    places = {column: names[_plain(column)] for column in columns}
    ignored = [
        str(cell.value)
        for index, cell in enumerate(header)
        if cell.value is not None and index not in places.values()
    ]
    found = Sheet(ignored=ignored)
    for number, cells in rows:
        if len(found.rows) >= limit:
            raise WorkbookError(f"The workbook has more than {MAX_ROWS:,} rows: divide it.")
        row = _row(number, cells, places)
        if row is not None:
            found.rows.append(row)
    return found


def _filled_rows(sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    """Rows with anything in them, by their numbers; a sheet that is formatted to its end ends earlier."""
    empty = 0
    for number, cells in enumerate(sheet.iter_rows(max_col=_MAX_COLUMNS), start=1):
        if all(_is_blank(cell.value) for cell in cells):
            empty += 1
            if empty > _EMPTY_ROWS_IN_A_ROW:
                return
            continue
        empty = 0
        yield number, cells


def _row(number: int, cells: Sequence[Any], places: Mapping[str, int]) -> Row | None:
    """The texts of the columns in `places`; None when all of those are blank."""
    values, faults = {}, []
    for column, place in places.items():
        cell = cells[place] if place < len(cells) else None
        values[column] = "" if cell is None else _text(cell.value)
        if cell is not None and cell.data_type == _ERROR:
            faults.append(f"{column} holds Excel's error {values[column]}.")
    return Row(number, values, faults) if any(values.values()) else None


def _text(value: Any) -> str:
    """A cell's value as people type it: `5` for 5.0, `2026-01-31` for a date."""
    if _is_blank(value):
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "", name).casefold()
