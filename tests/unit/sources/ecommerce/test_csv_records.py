"""Cutting CSV into records: quotes, line breaks, chunks of any size, and what is broken."""

from __future__ import annotations

import csv
import io
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ecommerce import MAX_RECORD_BYTES
from contracts.texts import BLANKS
from sources.ecommerce.csv_reader import WHOLE_FILE, _whole, read_file, wrong_header
from sources.ecommerce.csv_records import CHUNK_BYTES, records_of

COLUMNS = ("a", "b", "c")


def _cut(text: bytes, chunk_bytes: int = 1 << 20) -> list[tuple[int, bytes]]:
    return [
        (int(line), piece.data[start:end])
        for piece in records_of(io.BytesIO(text), len(COLUMNS), chunk_bytes)
        for line, start, end in zip(piece.lines, piece.starts, piece.starts[1:], strict=False)
    ]


def _read(folder: Path, text: bytes) -> list[tuple[int, bytes, str | None]]:
    path = folder / "a file with [brackets] and spaces.csv"
    path.write_bytes(text)
    rows = [row for piece in read_file(str(path), COLUMNS) for row in piece.to_pylist()]
    assert {row["file"] for row in rows} <= {str(path)}
    return [(row["line"], row["raw"], row["header"]) for row in rows]


def test_each_line_is_a_record() -> None:
    """With its number from 1 and its bytes; the last one may lack its line end."""
    assert _cut(b"1,2,3\n4,5,6\r\n7,8,9") == [(1, b"1,2,3\n"), (2, b"4,5,6\r\n"), (3, b"7,8,9\n")]


def test_a_line_break_in_quotes_belongs_to_the_record() -> None:
    """The record has the number of its first line; doubled quotes close nothing."""
    text = b'1,"x\ny ""z"" \n\n",3\n4,"5""",6\n"7\n",8,"\n9"\nx,y,z\n'
    assert _cut(text) == [
        (1, b'1,"x\ny ""z"" \n\n",3\n'),
        (5, b'4,"5""",6\n'),
        (6, b'"7\n",8,"\n9"\n'),
        (9, b"x,y,z\n"),
    ]


@pytest.mark.parametrize("stray", [b'1,5" nail,3', b'1,"open,3', b'"', b'1,2,3"', b'1,"a"b"c,3'])
def test_a_stray_quote_spoils_its_own_line_only(stray: bytes) -> None:
    """Whether it is in the middle of a field or opens one that is never closed."""
    lines = [stray, b"4,5,6", b"7,8,9", stray, b'1,"a ""quoted"" b",3', b"x,y,z"]
    assert [raw for _, raw in _cut(b"\n".join(lines))] == [line + b"\n" for line in lines]


def test_a_field_that_goes_on_for_too_long_is_not_joined() -> None:
    """Else one quote could take a whole file with it."""
    lines = [b'1,"open,3', *[b"4,5,6"] * MAX_RECORD_BYTES, b'",8,9']
    assert len(_cut(b"\n".join(lines), 10_000)) == len(lines)


def test_a_line_without_end_is_cut() -> None:
    """One byte more than a record may have, so that it is known as too long; the lines around it count."""
    text = b"1,2,3\n" + b"x" * 500_000 + b"\n4,5,6\n"
    assert _cut(text, 10_000) == [(1, b"1,2,3\n"), (2, b"x" * (MAX_RECORD_BYTES + 1)), (3, b"4,5,6\n")]
    assert _cut(b"x" * 500_000, 10_000) == [(1, b"x" * (MAX_RECORD_BYTES + 1) + b"\n")]


_FIELD = st.text(st.sampled_from('ab,"\n\r é'), max_size=6)


@given(st.lists(st.tuples(_FIELD, _FIELD, _FIELD), max_size=12), st.integers(1, 40))
def test_what_a_csv_writer_wrote_is_cut_into_its_records(
    rows: list[tuple[str, str, str]], chunk_bytes: int
) -> None:
    """For any fields and any chunks; the records are those of the csv module, and so are their lines."""
    text = io.StringIO()
    numbers = []
    for row in rows:
        numbers.append(text.getvalue().count("\n") + 1)
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(row)
    cut = _cut(text.getvalue().encode(), chunk_bytes)
    assert [line for line, _ in cut] == numbers
    assert [tuple(next(csv.reader(io.StringIO(raw.decode(), newline="")))) for _, raw in cut] == rows


@given(st.binary(max_size=200).map(lambda data: data.replace(b"\x00", b'"\n')), st.integers(1, 50))
def test_no_byte_is_lost_whatever_the_file_holds(data: bytes, chunk_bytes: int) -> None:
    """The records, one after the other, are the file."""
    cut = _cut(data, chunk_bytes)
    assert b"".join(raw for _, raw in cut).removesuffix(b"\n") == data.removesuffix(b"\n")
    assert [line for line, _ in cut] == sorted({line for line, _ in cut})


def test_the_header_and_empty_lines_are_no_records(tmp_path: Path) -> None:
    """Whatever the line ends; a line of blanks is a record, because it holds something."""
    text = b"\xef\xbb\xbfa,b,c\r\n\r\n1,2,3\r\n\n   \n4,5,6\n\n"
    assert _read(tmp_path, text) == [(3, b"1,2,3\r\n", None), (5, b"   \n", None), (6, b"4,5,6\n", None)]
    text = b"a,b,c\r\r\n\r\r\n1,2,3\r\r\n\r\r\r\r\n\r x\n"
    assert _read(tmp_path, text) == [(3, b"1,2,3\r\r\n", None), (5, b"\r x\n", None)]


@pytest.mark.parametrize("text", [b"", b"a,b,c", b"a,b,c\n", b"\n\n\n"])
def test_a_file_without_records_has_none(tmp_path: Path, text: bytes) -> None:
    """Empty, or with a header alone."""
    assert _read(tmp_path, text) == []


def test_every_record_of_a_file_with_another_header_says_so(tmp_path: Path) -> None:
    """With the header's text, which may be a record itself and must not be lost: then it is the first."""
    assert _read(tmp_path, b"b,a,c\n1,2,3\n4,5,6\n") == [(2, b"1,2,3\n", "b,a,c"), (3, b"4,5,6\n", "b,a,c")]
    for alone in (b"1,a,3", b"a,2,3\n", b"b;a;c\n", b"x" * 200_000, b'{"a": 1, "b": 2}', b"\xff\xfea\0"):
        ((line, raw, header),) = _read(tmp_path, alone)
        assert (line, raw.rstrip(b"\n")) == (1, alone[: MAX_RECORD_BYTES + 1].rstrip(b"\n"))
        assert header is not None
    headless = _read(tmp_path, b"1,a,3\n4,5,6\n")
    assert [(line, raw) for line, raw, _ in headless] == [(1, b"1,a,3\n"), (2, b"4,5,6\n")]
    # A wrong header with nothing below it is told too.
    assert _read(tmp_path, b"b,a,c\n\n") == [(1, b"b,a,c\n", "b,a,c")]
    utf16 = "a,b,c\n1,2,3\n".encode("utf-16")
    assert all(header is not None for _, _, header in _read(tmp_path, utf16))


_UNSEEN = (*BLANKS.replace("\n", "").replace("\r", ""), "\u200b", "\u2060", "\xad")


@pytest.mark.parametrize(
    ("line", "good"),
    [
        (b"a,b,c\n", True),
        (b'\xef\xbb\xbf"A", b ,C\r\n', True),
        *[(f'{char}{char}"A",{char} b ,C{char}\r\r\n'.encode(), True) for char in _UNSEEN],
        ("a,b\u200bb,c".encode(), False),
        ("\u200b".encode(), False),
        (b"a,c,b\n", False),
        (b"a,b\n", False),
        (b"a,b,c,d\n", False),
        (b"\n", False),
        (b'"a,b,c\n', False),
        (b"a;b;c\n", False),
        (b"\x00\xff", False),
    ],
)
def test_a_header_names_the_columns_in_their_order(line: bytes, good: bool) -> None:
    """In any case and with blanks around; an order of its own would put values into wrong columns."""
    assert (wrong_header(line, COLUMNS) is None) == good


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 1000])
def test_lines_end_with_cr_where_the_first_one_does(chunk_bytes: int) -> None:
    """Excel's "CSV (Macintosh)": a line feed ends a line there too, in quotes neither does."""
    text = b'a,b,c\r1,"x\ry\nz\r\n",3\r\r4,5,6\n7,8,9\r\n1,2,3\r'
    assert _cut(text, chunk_bytes) == [
        (1, b"a,b,c\r"),
        (2, b'1,"x\ry\nz\r\n",3\r'),
        (6, b"\r"),
        (7, b"4,5,6\n"),
        (8, b"7,8,9\r\n"),
        (9, b"1,2,3\r"),
    ]
    for first in (b"a,b,c\n", b"a,b,c\r\n", b'"a\r",b,c\n', b"a,b,c\r\r\n"):
        assert _cut(first + b"1,x\ry,3\n", chunk_bytes)[-1] == (2, b"1,x\ry,3\n")


@pytest.mark.parametrize("end", [b"\n", b"\r"])
@pytest.mark.parametrize("char", [b"x", b'"'])
def test_a_line_that_is_too_long_takes_no_other_with_it(char: bytes, end: bytes) -> None:
    """Wherever the chunks end, as the first line too, and if it is a quote that is never closed."""
    long = char * (MAX_RECORD_BYTES + 3)
    for chunk_bytes in (1000, MAX_RECORD_BYTES, MAX_RECORD_BYTES + 3, MAX_RECORD_BYTES + 10, 1 << 20):
        cut = _cut(end.join([b"a,b,c", long, b"4,5,6", b""]), chunk_bytes)
        assert [line for line, _ in cut] == [1, 2, 3]
        assert [raw[:5] for _, raw in cut] == [b"a,b,c", char * 5, b"4,5,6"]
        # Also if that ends in the middle of a line's end.
        cut = _cut(end.join([b"a,b,c", long + b"\r\n4,5,6", b""]), len(b"a,b,c\r") + len(long) + 1)
        assert [line for line, _ in cut] == [1, 2, 3]
        cut = _cut(end.join([long, b"4,5,6", b"7,8,9", b""]), chunk_bytes)
        assert [(line, raw[:5]) for line, raw in cut] == [(1, char * 5), (2, b"4,5,6"), (3, b"7,8,9")]


@pytest.mark.parametrize("end", [b"\r", b"\r\n"])
def test_no_record_is_hidden_where_a_chunk_ends(end: bytes) -> None:
    """Though a quote of the first line is closed only by the record that ends with the chunk."""
    lines = [b'a,b,"c', *[b"4,5,6"] * MAX_RECORD_BYTES, b'1,5" nail,3']
    text = end.join([*lines, b"7,8,9", b""])
    chunk_bytes = text.index(b"nail,3") + len(b"nail,3\r")
    assert [raw.rstrip(b"\r\n") for _, raw in _cut(text, chunk_bytes)] == [*lines, b"7,8,9"]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("header", [b'"a,b,c', b'a","b,c', b'"', b'"""'])
def test_a_header_with_a_stray_quote_hides_no_record(header: bytes, end: bytes) -> None:
    """Also where CR alone ends the lines."""
    lines = [header, b"4,5,6", b"7,8,9"]
    for text in (end.join(lines), end.join([*lines, b""])):
        assert [raw.rstrip(b"\r\n") for _, raw in _cut(text, 5)] == lines


class _Growing(io.FileIO):
    """A file of which more is written once it was read up to `end`."""

    end = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """What was there at the beginning."""
        return super().read(min(size or 0, self.end - self.tell()))


@pytest.mark.parametrize(("read", "whole"), [(20, 3), (19, 3), (18, 2), (12, 2), (8, 1), (3, 0)])
def test_of_a_file_that_grows_half_a_line_is_left_out(tmp_path: Path, read: int, whole: int) -> None:
    """It would be another record; the file is told, so that it can be read again."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b,c\n1,2,3\n44,5,6\n7,8,9\n")
    found: list[bytes] = []
    with _Growing(path) as file:
        file.end = read
        pieces = _whole(file, records_of(file, 3, 7))
        with pytest.raises(OSError, match="grew"):
            found.extend(piece.data[: piece.starts[-1]] for piece in pieces)
    assert b"".join(found) == b"".join([b"a,b,c\n", b"1,2,3\n", b"44,5,6\n"][:whole])


def test_what_is_no_file_is_told_as_a_record_of_line_0(tmp_path: Path) -> None:
    """A folder, a pipe that would be waited for, nothing at all, a name of any bytes; no error is raised."""
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.csv", "folder.csv", "nothing.csv", "\udcff.csv", "a\0b.csv", "x" * 300):
        ((row,),) = [piece.to_pylist() for piece in read_file(str(tmp_path / name), COLUMNS)]
        assert (row["line"], row["raw"]) == (WHOLE_FILE, b"")
        assert row["header"]


class _Endless(io.BytesIO):
    """A file of `size` bytes that is never in memory."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._left = size
        self._block = b'4,"5, of ""something""",6\n' * 100_000

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, whole records or not."""
        piece = self._block[: min(size or 0, self._left)]
        self._left -= len(piece)
        return piece


def test_a_file_of_any_size_takes_the_same_memory() -> None:
    """A quarter of a gigabyte takes some chunks, and no more than a tenth of that does."""
    peaks = []
    for size in (25_000_000, 250_000_000):
        tracemalloc.start()
        records = sum(len(piece.lines) for piece in records_of(_Endless(size), len(COLUMNS)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert records > size / 30
    assert peaks[1] < peaks[0] * 1.1
    assert peaks[1] < 15 * CHUNK_BYTES
