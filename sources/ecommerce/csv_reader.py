"""Reads CSV files as rows for Spark, whatever they hold; runs on the executors."""

from __future__ import annotations

import csv
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from contracts.texts import BLANKS
from sources.ecommerce.csv_records import LINE_ENDS, Records, records_of

SCHEMA = "file STRING, line BIGINT, raw BINARY, header STRING"
# The line of a file that could not be read to its end.
WHOLE_FILE = 0

_BOM = b"\xef\xbb\xbf"
# More of a line that is no header is not kept beside each record.
_SHOWN_HEADER = 1000


def read_files(
    batches: Iterator[pa.RecordBatch], paths: Sequence[str], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Read the files of `paths` whose numbers are in the first column by `read_file`; for `mapInArrow`."""
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield from read_file(paths[number], columns)


def read_file(path: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read the file `path` as rows of SCHEMA, without its header and empty lines; never raises.

    `header` is null where the file has the header that `columns` make; else all its records have its first
    line there, and where that is no header it is the first record. A file that cannot be read to its end has
    a last row with line WHOLE_FILE and the reason in place of the header.
    """
    shown = path.encode("utf-8", "replace").decode()
    try:
        # Opening a pipe would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:  # noqa: PTH123 - there is no path any more
            _require_regular(descriptor)
            yield from _rows(shown, _whole(file, records_of(file, len(columns))), columns)
    except Exception as error:  # noqa: BLE001 - the boundary: one file must not hold up the others
        reason = (getattr(error, "strerror", None) or f"{error}")[:500]
        yield _batch(
            shown, pa.array([b""], pa.binary()), np.array([WHOLE_FILE]), f"{type(error).__name__}: {reason}"
        )


def _require_regular(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError("it is no regular file")


def _whole(file: BinaryIO, pieces: Iterator[Records]) -> Iterator[Records]:
    """`pieces`, unless the file grew while they were read: then what may be half a line is left out.

    Raises OSError when it grew.
    """
    held: Records | None = None
    for piece in pieces:
        if held is not None:
            yield held
        held = piece
    here = file.tell()
    if os.fstat(file.fileno()).st_size <= here:
        if held is not None:
            yield held
        return
    file.seek(here - 1 if here else 0)
    if held is not None and file.read(1) not in LINE_ENDS:
        held = Records(held.data[: held.starts[-2]], held.starts[:-1], held.lines[:-1])
    if held is not None:
        yield held
    raise OSError("it grew while it was read, so records after these may be missing")


def _rows(name: str, pieces: Iterator[Records], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    header: str | None = None
    first_line, found = b"", False
    for number, piece in enumerate(pieces):
        first = 0
        if number == 0 and len(piece.lines):
            first_line = piece.data[: piece.starts[1]]
            header = wrong_header(first_line, columns)
            first = 1 if header is None or _is_header(header, columns) else 0
        if len(piece.lines) <= first:
            continue
        offsets = pa.py_buffer(piece.starts[first:].astype(np.int32))
        count = len(piece.lines) - first
        raw = pa.Array.from_buffers(pa.binary(), count, [None, offsets, pa.py_buffer(piece.data)])
        rows = _batch(name, raw, piece.lines[first:], header)
        rows = _without_blanks(rows, piece.data, piece.starts[first:])
        found = found or rows.num_rows > 0
        yield rows
    if header is not None and not found and first_line.strip():
        # Nothing but a wrong header: it is told.
        yield _batch(name, pa.array([first_line], pa.binary()), np.array([1]), header)


def _batch(name: str, raw: Any, lines: Any, header: str | None) -> pa.RecordBatch:
    count = len(raw)
    arrays = [pa.repeat(name, count), pa.array(lines, pa.int64()), raw]
    arrays.append(pa.repeat(header, count) if header is not None else pa.nulls(count, pa.string()))
    return pa.RecordBatch.from_arrays(arrays, ["file", "line", "raw", "header"])


def _without_blanks(rows: pa.RecordBatch, data: bytes, starts: Any) -> pa.RecordBatch:
    """Returns `rows` without lines that hold nothing but line ends (CR CR LF too): those are no records."""
    blank = np.isin(np.frombuffer(data, dtype=np.uint8)[starts[:-1]], (10, 13))
    if not blank.any():
        return rows
    for index in np.flatnonzero(blank):
        blank[index] = not data[starts[index] : starts[index + 1]].strip(b"\r\n")
    return rows.filter(pa.array(~blank))


def wrong_header(line: bytes, columns: Sequence[str]) -> str | None:
    """None when `line` names the `columns` in their order; else the line's text.

    Case does not count, nor do blanks and characters without width around a name.
    """
    text = line.removeprefix(_BOM).decode("utf-8", "replace").rstrip("\r\n")
    # PostgreSQL, where refused records wait to be set aside, has no NUL in a text.
    return None if _names(text) == list(columns) else text[:_SHOWN_HEADER].replace("\0", "\ufffd")


def _is_header(text: str, columns: Sequence[str]) -> bool:
    """Whether `text`, a wrong header, is one at all, not a first record: most of it are known names."""
    names = _names(text)
    return 2 * sum(name in columns for name in names) > len(names)


def _names(text: str) -> list[str]:
    try:
        return [_bare(name).lower() for name in next(csv.reader([_bare(text)]), [])]
    except csv.Error:
        # A line break or NUL, or a field longer than any name.
        return []


def _bare(text: str) -> str:
    """`text` without blanks and characters without width, a byte-order mark for example, around it."""
    backwards = "".join(dropwhile(_is_unseen, reversed(text)))
    return "".join(dropwhile(_is_unseen, reversed(backwards)))


def _is_unseen(char: str) -> bool:
    return char in BLANKS or unicodedata.category(char) == "Cf"
