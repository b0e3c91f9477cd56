"""Text for people from stored values: inert in Markdown, times with their age, tables as safe CSV."""

from __future__ import annotations

import string
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from contracts import texts

NBSP, printable = texts.NBSP, texts.printable
_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in string.punctuation})
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Markdown(str):
    """A text that this project made itself, so that `plain_frame` leaves it as it is."""

    __slots__ = ()


def plain(value: Any) -> str:
    """`value` as one line that Markdown, HTML and bidirectional controls cannot change.

    Streamlit renders Markdown nearly everywhere, with images, links and colours; CommonMark lets every
    ASCII punctuation mark be escaped.
    """
    return printable(value).translate(_ESCAPED)


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns `frame` with every cell as inert text, except those that are Markdown already."""
    return frame.map(lambda cell: str(cell) if isinstance(cell, Markdown) else plain(cell))


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """`frame` as CSV in UTF-8; texts that a spreadsheet would run begin with an apostrophe instead."""
    safe = frame.map(lambda cell: texts.inert_cell(cell) if isinstance(cell, str) else cell)
    text: str = safe.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%SZ", lineterminator="\r\n")
    return text.encode()


def ago(moment: datetime, now: datetime) -> str:
    """`3 min ago`, in the largest whole unit (d, h, min, s); `just now` below a second and for the future."""
    seconds = int((now - moment) / timedelta(seconds=1))
    for size, name in _STEPS:
        if seconds >= size:
            count = seconds // size
            return f"{count:,}{NBSP}{name} ago"
    return "just now"


def utc(moment: datetime) -> str:
    """`2026-01-31 12:00:00 UTC`; `moment` is aware UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def short_time(moment: datetime) -> str:
    """`31 Jan 12:00:00`, which no line break divides; for columns whose heading says UTC."""
    return f"{moment:%d{NBSP}%b{NBSP}%H:%M:%S}"


def local_time(moment: datetime, zone: ZoneInfo | None) -> str:
    """` (13:00 in Europe/Berlin)` beside a time in UTC; empty where `zone` is not known, or has the same."""
    local = None if zone is None else moment.astimezone(zone)
    if local is None or not local.utcoffset():
        return ""
    day = "" if local.date() == moment.date() else f"{local:%d{NBSP}%b{NBSP}}"
    return f" ({day}{local:%H:%M} in {plain(zone)})"


def day_text(day: date | None) -> str:
    """`31 Jan 2026`, which no line break divides, or a dash."""
    return "–" if day is None else f"{day:%d{NBSP}%b{NBSP}%Y}"


def figure(value: float | None, unit: str = "", digits: int | None = None) -> str:
    """`8,437 steps`, with as many decimals as the size needs unless `digits` says; a dash for None."""
    if value is None or pd.isna(value):
        return "–"
    if digits is None:
        digits = 0 if abs(value) >= 1000 or value == round(value) else 1
    return f"{value:,.{digits}f}{f'{NBSP}{unit}' if unit else ''}"


def counted(number: int, one: str, several: str = "") -> str:
    """`1 change`, `1,204 changes`; `several` where it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def money(value: Decimal | None) -> str:
    """`1,234.50`, exact, with a real minus sign; a dash for None."""
    return "–" if value is None else f"{value:,.2f}".replace("-", "−")


def signed(value: float | None, unit: str = "%") -> str:
    """`+11.7 %`, with a real minus sign; a dash for None."""
    if value is None or pd.isna(value):
        return "–"
    return f"{value:+,.1f}{NBSP}{unit}".replace("-", "−")
