"""A cell of a workbook as the text that a person sees in it, or why that text cannot be known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from openpyxl.utils.datetime import from_excel

from analytics.texts import is_float, trimmed

FORMULA: Final = (
    "is missing; if the cell holds a formula, save the workbook in Excel once and upload it again."
)
_DATES: Final = ("timestamp", "last_movement", "expiry_date")
_NUMBERS: Final = ("quantity", "total_amount", "buy_price", "sell_price", "total_revenue_generated")
# Excel keeps 15 digits of a number.
_MOST_DIGITS: Final = 10**15
_GENERAL: Final = ("General", "@", "")
_ZEROS: Final = re.compile(r"0+")
# Grouping and decimals alone: it is known what such a format shows.
_PLAIN: Final = re.compile(r"[#0,]*[#0](?:[.]([0#?]+))?")
# Parts beside the digits: texts in quotes, colours and currencies, escaped characters, spaces.
_BESIDE: Final = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.|[-$€£¥ +()]')
_ERROR: Final = "e"


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of a cell; `fault` says why it cannot be used, `note` what a person should know of it."""

    text: str = ""
    fault: str = ""
    note: str = ""


def is_blank(value: Any) -> bool:
    """Whether nothing can be seen in a cell of this value."""
    return value is None or (isinstance(value, str) and not trimmed(value))


def read_cell(cell: Any, column: str, epoch: datetime) -> Cell:
    """A cell of openpyxl's in a column of COLUMNS; `epoch` is where the workbook counts days from."""
    value = cell.value
    if is_blank(value):
        return Cell()
    if cell.data_type == _ERROR:
        return Cell(str(value), f"{column} holds Excel's error {value}.")
    if isinstance(value, str):
        return _text(trimmed(value), column)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, column, str(cell.number_format), epoch)
    if isinstance(value, date | time | timedelta) and column not in (*_DATES, *_NUMBERS):
        return Cell(_plain(value), f"{column} holds a date or a time; enter it as a text, as it was meant.")
    return Cell(_plain(value))


def _number(value: float, column: str, number_format: str, epoch: datetime) -> Cell:
    if column in _DATES:
        return _serial(value, column, epoch)
    return (_amount if column in _NUMBERS else _name)(value, column, number_format)


def _text(text: str, column: str) -> Cell:
    if column.endswith("_id") and is_float(text):
        return Cell(text, note=f"{column} {text} is not the same id as {text[:-2]}.")
    return Cell(text)


def _serial(value: float, column: str, epoch: datetime) -> Cell:
    try:
        found = from_excel(value, epoch)
    except (OverflowError, ValueError):
        return Cell(_plain(value))
    if value < 1 or not isinstance(found, datetime):
        return Cell(_plain(value))
    seen = _plain(found)
    return Cell(seen, note=f"{column} {_plain(value)} was taken as Excel's number of {seen[:10]}.")


def _amount(value: float, column: str, number_format: str) -> Cell:
    """Read an amount as it is shown where that is rounding to cents; refuse it where the two differ more."""
    exact, held = Decimal(repr(value)), _plain(value)
    if number_format in _GENERAL:
        return Cell(held)
    plain = _PLAIN.fullmatch(_BESIDE.sub("", number_format.split(";", maxsplit=1)[0]))
    if plain is None:
        return Cell(held, f"{column} holds {held}, but its format {number_format} may show another amount.")
    seen = exact.quantize(Decimal(1).scaleb(-len(plain[1] or "")), ROUND_HALF_UP)
    if abs(seen - exact) < Decimal("0.00000001"):
        return Cell(held)
    if len(plain[1] or "") < 2:
        return Cell(held, f"{column} shows {seen}, but holds {held}: show two decimal places.")
    return Cell(str(seen), note=f"{column} {held} was taken as {seen}, as the cell shows it.")


def _name(value: float, column: str, number_format: str) -> Cell:
    """Read a number where a text belongs, such as an id of digits, as its format shows it."""
    held = _plain(value)
    if abs(value) >= _MOST_DIGITS:
        return Cell(held, f"{column} has more digits than the 15 that Excel keeps; enter it as a text.")
    if number_format in _GENERAL:
        return Cell(held)
    if _ZEROS.fullmatch(number_format) and float(value).is_integer():
        return Cell(held.zfill(len(number_format)) if value >= 0 else held)
    plain = _PLAIN.fullmatch(number_format)
    if plain is None:
        return Cell(
            held, f"{column} is a number in the format {number_format}; enter it as a text, as it shows."
        )
    return Cell(str(Decimal(repr(value)).quantize(Decimal(1).scaleb(-len(plain[1] or "")), ROUND_HALF_UP)))


def _plain(value: Any) -> str:
    """A value as people type it: `5` for 5.0, `2026-01-31` for a date."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_DIGITS:
        return str(int(value))
    return trimmed(str(value))
