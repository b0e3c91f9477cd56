"""Cuts CSV files into records (RFC 4180), each with its file and line; runs on the executors.

A record is cut here and parsed by Spark afterwards, so that one that cannot be parsed still has its place
and its text. The work is done on whole chunks of bytes: no step runs once a record, except for records with
a line break in a quoted field.

A quote that is never closed spoils its own line only: lines are joined to one record where that has the right
number of fields and at most MAX_RECORD_BYTES, and are records of their own otherwise.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from contracts import MAX_RECORD_BYTES

CHUNK_BYTES = 4 * 1024 * 1024
SCHEMA = "file STRING, line BIGINT, raw BINARY, header STRING"

_NEWLINE, _QUOTE = 10, 34
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records: bytes `starts[i]` to `starts[i + 1]` of `data`, with line ends; lines from 1."""

    data: bytes
    starts: Any
    lines: Any


def read_files(batches: Iterator[pa.RecordBatch], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """For `mapInArrow`: each file of the column `path` as rows of SCHEMA, without its header and empty lines.

    `header` is null, or what a file has instead of the header that `columns` make; all its records have it.
    Raises OSError when a file cannot be read.
    """
    for batch in batches:
        for path in batch.column("path").to_pylist():
            name = path.removeprefix("file:")
            with open(name, "rb") as file:  # noqa: PTH123 - the name may hold what Path would change
                yield from _rows(name, records_of(file, len(columns)), columns)


def _rows(name: str, pieces: Iterator[Records], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    header: str | None = None
    for number, piece in enumerate(pieces):
        first = 0
        if number == 0:
            first = 1
            header = wrong_header(piece.data[: piece.starts[1]], columns)
        count = len(piece.lines) - first
        if count <= 0:
            continue
        offsets = pa.py_buffer(piece.starts[first:].astype(np.int32))
        raw = pa.Array.from_buffers(pa.binary(), count, [None, offsets, pa.py_buffer(piece.data)])
        arrays = [pa.repeat(name, count), pa.array(piece.lines[first:]), raw]
        arrays.append(pa.repeat(header, count) if header is not None else pa.nulls(count, pa.string()))
        rows = pa.RecordBatch.from_arrays(arrays, ["file", "line", "raw", "header"])
        lengths = np.diff(piece.starts[first:])
        yield _without_blanks(rows, piece.data, lengths, piece.starts[first:-1])


def _without_blanks(rows: pa.RecordBatch, data: bytes, lengths: Any, starts: Any) -> pa.RecordBatch:
    """Lines of nothing but a line end are no records."""
    short = np.flatnonzero(lengths <= 2)
    if not len(short):
        return rows
    keep = np.ones(len(lengths), dtype=bool)
    for index in short:
        keep[index] = data[starts[index] : starts[index] + lengths[index]].strip(b"\r\n") != b""
    return rows.filter(pa.array(keep))


def wrong_header(line: bytes, columns: Sequence[str]) -> str | None:
    """None when `line` names the `columns` in their order (any case, blanks around); else the line's text."""
    text = line.removeprefix(_BOM).decode("utf-8", "replace").rstrip("\r\n")
    names = next(csv.reader([text]), []) if "\n" not in text and "\0" not in text else []
    same = [name.strip().lower() for name in names] == list(columns)
    # PostgreSQL, where refused records wait to be set aside, has no NUL in a text.
    return None if same else text[:1000].replace("\0", "\ufffd")


def records_of(file: BinaryIO, width: int, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Records]:
    """The records of a file, blank lines and the header included, in pieces of about `chunk_bytes`.

    `width` is how many fields a record with line breaks must have.
    """
    rest, line = b"", 1
    skipping = False
    while True:
        chunk = file.read(chunk_bytes)
        last = not chunk
        if skipping:
            # The rest of a line that was too long.
            end = chunk.find(b"\n") + 1
            skipping = not end and not last
            chunk = chunk[end:] if end else b""
            line += 1 if end else 0
        data = rest + chunk
        if last and data and not data.endswith(b"\n"):
            data += b"\n"
        cut = _cut(data, width, last)
        lines = cut.lines + line
        if len(lines):
            yield Records(data, cut.starts, lines)
        rest = data[cut.used :]
        line += cut.used_lines
        if len(rest) > MAX_RECORD_BYTES and b"\n" not in rest:
            yield Records(rest[: MAX_RECORD_BYTES + 1], np.array([0, MAX_RECORD_BYTES + 1]), np.array([line]))
            rest, skipping = b"", True
        if last:
            return


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where the records of a piece begin (and the last one ends), their lines from 0, and what was used."""

    starts: Any
    lines: Any
    used: int
    used_lines: int


def _cut(data: bytes, width: int, last: bool) -> _Cut:
    array = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(array == _NEWLINE) + 1
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
