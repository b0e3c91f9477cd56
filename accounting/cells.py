"""A cell of a workbook as the text that a person sees in it, or why that text cannot be known."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from openpyxl.utils.datetime import from_excel
from openpyxl.utils.escape import unescape

from analytics.texts import is_float, is_visible, trimmed

FORMULA: Final = (
    "is missing; if the cell holds a formula, save the workbook in Excel once and upload it again."
)
_DATES: Final = ("timestamp", "last_movement", "expiry_date")
_NUMBERS: Final = ("quantity", "total_amount", "buy_price", "sell_price", "total_revenue_generated")
# Excel keeps and shows 15 digits of a number.
_MOST_DIGITS: Final = 10**15
# A format has at most 255 characters: no number of 15 digits has more digits in it than these.
_ROUNDING: Final = Context(prec=300, rounding=ROUND_HALF_UP)
_GENERAL: Final = ("General", "@", "")
_ZEROS: Final = re.compile(r"0+")
# Grouping and decimals alone: it is known what such a format shows.
_PLAIN: Final = re.compile(r"[#0,]*[#0](?:[.]([0#?]+))?")
# Parts beside the digits: texts in quotes, colours and currencies, escaped characters, spaces; none of them
# shows a digit of its own.
_BESIDE: Final = re.compile(
    r'"[^"0-9]*"|\[(?:[A-Za-z]+[0-9]*|\$[^]0-9-]*(?:-[^]]*)?)\]|\\[^0-9]|_.|\*[^0-9]|[-$€£¥ +()]'
)
# Such as `[<100]`: another format counts then.
_CONDITION: Final = re.compile(r"\[[<>=]")
_ERROR: Final = "e"


@dataclass(frozen=True, slots=True)
class Cell:
    """The text of a cell; `fault` says why it cannot be used, `note` what a person should know of it."""

    text: str = ""
    fault: str = ""
    note: str = ""


def is_blank(value: Any) -> bool:
    """Whether nothing can be seen in a cell of this value."""
    return value is None or (isinstance(value, str) and not written(value))


def written(text: str) -> str:
    """A text of the file as a person wrote it: `_x000D_` is a control character, the ends are trimmed."""
    return trimmed(unescape(text))


def bare(text: str) -> str:
    """The letters and digits of a text without case: texts that look the same have the same ones."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    # Unicode counts fillers among the letters.
    return "".join(char for char in plain if char.isalnum() and is_visible(char))


def read_cell(cell: Any, column: str, epoch: datetime) -> Cell:
    """A cell of openpyxl's in a column of COLUMNS; `epoch` is where the workbook counts days from."""
    value = cell.value
    if is_blank(value):
        return Cell()
    if cell.data_type == _ERROR:
        return Cell(str(value), f"{column} holds Excel's error {value}.")
    if isinstance(value, str):
        return _text(written(value), column)
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
    held = _plain(value)
    # Numbers that are too large break the rules of each amount.
    if number_format in _GENERAL or not abs(value) < _MOST_DIGITS:
        return Cell(held)
    plain = _PLAIN.fullmatch(_BESIDE.sub("", number_format.split(";", maxsplit=1)[0]))
    if plain is None or _CONDITION.search(number_format):
        return Cell(held, f"{column} holds {held}, but its format {number_format} may show another amount.")
    seen = _rounded(held, plain)
    if abs(seen - Decimal(held)) < Decimal("0.00000001"):
        return Cell(held)
    if len(plain[1] or "") < 2:
        return Cell(held, f"{column} shows {seen}, but holds {held}: show two decimal places.")
    return Cell(str(seen), note=f"{column} {held} was taken as {seen}, as the cell shows it.")


def _name(value: float, column: str, number_format: str) -> Cell:
    """Read a number where a text belongs, such as an id of digits, as its format shows it."""
    held = _plain(value)
    if not abs(value) < _MOST_DIGITS:
        return Cell(held, f"{column} has more digits than the 15 that Excel keeps; enter it as a text.")
    if number_format in _GENERAL:
        return Cell(held)
    if _ZEROS.fullmatch(number_format) and held.lstrip("-").isdigit():
        return Cell(held.zfill(len(number_format)) if value >= 0 else held)
    plain = _PLAIN.fullmatch(number_format)
    if plain is None:
        return Cell(
            held, f"{column} is a number in the format {number_format}; enter it as a text, as it shows."
        )
    return Cell(str(_rounded(held, plain)))


def _rounded(held: str, plain: re.Match[str]) -> Decimal:
    """The number with the decimals of its format, which _PLAIN matched."""
    return Decimal(held).quantize(Decimal(1).scaleb(-len(plain[1] or "")), context=_ROUNDING)


def _plain(value: Any) -> str:
    """A value as people type it: `5` for 5.0, `2026-01-31` for a date."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and abs(value) < _MOST_DIGITS:
        return f"{value:.15g}"
    return trimmed(str(value))
