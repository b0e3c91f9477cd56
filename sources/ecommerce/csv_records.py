"""Cuts the bytes of CSV files into records (RFC 4180), each with its line; runs on the executors.

A record is cut here and parsed by Spark afterwards, so that one that cannot be parsed still has its place
and its text. The work is done on whole chunks of bytes: no step runs once a record, except for records with
a line break in a quoted field.

A quote that is never closed spoils its own line only: lines are joined to one record where that has the right
number of fields and at most MAX_RECORD_BYTES, and are records of their own otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from contracts.ecommerce import MAX_RECORD_BYTES

CHUNK_BYTES = 4 * 1024 * 1024
LINE_ENDS = (b"\n", b"\r")

_NEWLINE, _RETURN, _QUOTE = 10, 13, 34


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records: bytes `starts[i]` to `starts[i + 1]` of `data`, with line ends; lines from 1."""

    data: bytes
    starts: Any
    lines: Any


def records_of(file: BinaryIO, width: int, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Records]:
    """The records of a file, blank lines and the header included, in pieces of about `chunk_bytes`.

    `width` is how many fields a record with line breaks must have. Lines end with LF or CRLF; in a file whose
    first line ends with CR alone, each of the three ends one.
    """
    rest, line = b"", 1
    skipping = False
    returns: bool | None = None
    while True:
        chunk = file.read(chunk_bytes)
        last = not chunk
        if skipping:
            # The rest of a line that was too long; after its CR the LF may be still to come.
            chunk, rest = rest + chunk, b""
            end = _first_end(chunk, returns)
            if end == len(chunk) and chunk.endswith(b"\r") and not last:
                rest = b"\r"
                continue
            skipping = not end and not last
            chunk = chunk[end:] if end else b""
            line += 1 if end else 0
        data = rest + chunk
        if returns is None:
            returns = _ends_with_returns(data, last)
            if returns is None:
                # A first line that is too long is told by its beginning.
                rest = data if _first_end(data, True) else data[: MAX_RECORD_BYTES + 1]
                continue
        if last and data and data[-1:] not in (LINE_ENDS if returns else LINE_ENDS[:1]):
            data += b"\n"
        cut = _cut(data, width, last, returns)
        lines = cut.lines + line
        if len(lines):
            yield Records(data, cut.starts, lines)
        rest = data[cut.used :]
        line += cut.used_lines
        if len(rest) > MAX_RECORD_BYTES and not _first_end(rest, returns):
            yield Records(rest[: MAX_RECORD_BYTES + 1], np.array([0, MAX_RECORD_BYTES + 1]), np.array([line]))
            rest, skipping = b"", True
        if last:
            return


def _ends_with_returns(data: bytes, last: bool) -> bool | None:
    """Whether the first line ends with CR alone; None when that is not known yet."""
    first, quotes, before = None, 0, 0
    for run in re.finditer(rb"[\r\n]+", data):
        first = first or run
        quotes += data.count(b'"', before, run.start())
        before = run.start()
        # A line break in quotes is a field's, unless all are: then a quote was never closed.
        if quotes % 2 == 0:
            first = run
            break
    else:
        if not last and (first is None or len(data) <= MAX_RECORD_BYTES):
            return None
    if first is None or b"\n" in first[0]:
        return False
    return None if first.end() == len(data) and not last else True


def _first_end(data: bytes, returns: bool | None) -> int:
    """Where the first line of `data` ends; 0 when it does not."""
    found = re.search(rb"\r\n?|\n" if returns else rb"\n", data)
    return found.end() if found else 0


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where the records of a piece begin (and the last one ends), their lines from 0, and what was used."""

    starts: Any
    lines: Any
    used: int
    used_lines: int


def _cut(data: bytes, width: int, last: bool, returns: bool) -> _Cut:
    array = np.frombuffer(data, dtype=np.uint8)
    ending = array == _NEWLINE
    if returns:
        # A CR ends a line, unless a LF follows; of the last byte that is not known yet.
        ending[:-1] |= (array[:-1] == _RETURN) & ~ending[1:]
        ending[-1:] |= last & (array[-1:] == _RETURN)
    ends = np.flatnonzero(ending) + 1
    if b'"' in data and len(ends):
        keep, complete = _record_ends(data, array, ends, width, last)
    else:
        keep, complete = np.ones(len(ends), dtype=bool), len(ends)
    records = np.flatnonzero(keep[:complete])
    starts = np.concatenate(([0], ends[records]))
    # A record begins on the line after the one that ended the record before it.
    lines = np.concatenate(([0], records[:-1] + 1)) if len(records) else records
    return _Cut(starts, lines, int(starts[-1]), int(records[-1]) + 1 if len(records) else 0)


def _record_ends(data: bytes, array: Any, ends: Any, width: int, last: bool) -> tuple[Any, int]:
    """Which line ends are record ends, and up to which line that is known.

    Within a quoted field quotes are doubled, so a line with a field that goes on has an odd number of them,
    and so has the line with its closing quote.
    """
    bounds = np.concatenate(([0], ends))
    counts = np.diff(np.searchsorted(np.flatnonzero(array == _QUOTE), bounds))
    odd = np.flatnonzero(counts % 2)
    keep = np.ones(len(ends), dtype=bool)
    position = 0
    while position < len(odd):
        opening, start = odd[position], bounds[odd[position]]
        position += 1
        if _count_fields(data[start : ends[opening]]) is not None:
            continue
        if position == len(odd):
            if not last and len(data) - start <= MAX_RECORD_BYTES:
                return keep, int(opening)
            continue
        closing = odd[position]
        joined = data[start : min(ends[closing], start + MAX_RECORD_BYTES + 1)]
        if len(joined) <= MAX_RECORD_BYTES and _count_fields(joined) == width:
            keep[opening:closing] = False
            position += 1
    return keep, len(ends)


def _count_fields(text: bytes) -> int | None:
    """How many fields there are, None when the last is still open, 0 when something follows a closing quote.

    A quote opens a field only at its beginning.
    """
    position, fields = 0, 0
    while True:
        fields += 1
        if text[position : position + 1] == b'"':
            position = _closing_quote(text, position + 1)
            if position < 0:
                return None
            if text[position + 1 : position + 2] not in b",\r\n":
                return 0
        position = text.find(b",", position) + 1
        if position == 0:
            return fields


def _closing_quote(text: bytes, position: int) -> int:
    while True:
        position = text.find(b'"', position)
        if position < 0 or text[position + 1 : position + 2] != b'"':
            return position
        position += 2
