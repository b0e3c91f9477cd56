"""ISO 8601 text as people and editors leave it in the cursor file."""

from __future__ import annotations

import codecs
import re
from datetime import datetime, timedelta, timezone

_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s*([Zz]|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def parse_timestamp(text: str) -> datetime:
    """Read `text` as UTC, truncated to milliseconds; without an offset it is UTC, a date alone its midnight.

    White space and quotes around it do not matter. Raises ValueError for anything else.
    """
    match = _ISO.fullmatch(text.strip().strip("'\"").strip())
    if match is None:
        raise ValueError(f"{text.strip()[:40]!r} is not a time such as 2026-01-31 or 2026-01-31T08:00:00Z")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    local = datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        int((fraction or "")[:3].ljust(3, "0")) * 1000,
        tzinfo=_zone(offset),
    )
    try:
        return local.astimezone(timezone.utc)
    except OverflowError as error:
        raise ValueError(f"{text.strip()[:40]!r} is outside the years 1 to 9999") from error


def decode_timestamp(raw: bytes) -> datetime:
    """`parse_timestamp` of a file's bytes: UTF-8 or UTF-16, with a byte order mark or without one.

    Raises ValueError (a UnicodeError is one) when the bytes are not such a text.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return parse_timestamp(raw[len(mark) :].decode(encoding))
    if b"\0" in raw[:2]:  # every character of the text is ASCII, so one byte of each UTF-16 pair is zero
        return parse_timestamp(raw.decode("utf-16-be" if raw[0] == 0 else "utf-16-le"))
    return parse_timestamp(raw.decode("utf-8"))


def format_timestamp(moment: datetime) -> str:
    """`2026-01-31T08:00:00.000Z`, truncated to milliseconds."""
    utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"


def _zone(offset: str | None) -> timezone:
    if offset is None or offset in "Zz":
        return timezone.utc
    digits = offset[1:].replace(":", "").ljust(4, "0")
    if int(digits[2:]) > 59:
        raise ValueError(f"{offset} is not an offset from UTC")
    shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-shift if offset[0] == "-" else shift)
