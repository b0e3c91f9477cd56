"""Odd CSV files as people and programs make them, each with what must become of its records."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.ecommerce import EVENT_COLUMNS
from contracts.texts import BLANKS
from tests.support.shop import HEADER, event

Row = Mapping[str, str]
# Names of files are input too.
_NAMES = (
    "{}.csv",
    "{} a b.csv",
    "{}%20#?.csv",
    "{}:x.csv",
    "{}\nx.csv",
    "{}[x]{{y}}*.csv",
    "{}é🛒.CSV",
    "{};'\".Csv",
)


@dataclass
class OddFile:
    """`rows` by what must become of them; of those in `any` it is only asked that they have one end."""

    kind: str
    content: bytes
    written: Sequence[Row] = ()
    refused: Sequence[Row] = ()
    any: Sequence[Row] = ()
    reasons: frozenset[str] = frozenset()
    name: str = ""

    @property
    def rows(self) -> list[Row]:
        """All of them."""
        return [*self.written, *self.refused, *self.any]


@dataclass
class OddFolder:
    """Files, and what is beside them and never read, by name."""

    files: list[OddFile] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)

    def put(self, folder: Path) -> None:
        """Write all of it, in the files' order."""
        for number, file in enumerate(self.files):
            path = folder / file.name
            path.write_bytes(file.content)
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
        for name in self.beside:
            path = folder / name
            if "folder" in name:
                path.mkdir()
                (path / "inside.csv").write_text(HEADER)
            elif "loop" in name:
                path.symlink_to(path)
            elif "link" in name:
                path.symlink_to(folder / "nothing")
            else:
                path.write_text(HEADER)


def odd_folder(chance: random.Random, rounds: int) -> OddFolder:
    """Every kind `rounds` times, in any order, good files between them."""
    files = [make(chance) for _ in range(rounds) for make in _KINDS]
    chance.shuffle(files)
    for number, file in enumerate(files):
        file.name = chance.choice(_NAMES).format(f"{number:03d} {file.kind}")
    beside = [
        "a.csv.gz",
        "b.tsv",
        "c.txt",
        "d.json",
        "folder.csv",
        "archive folder",
        "link.csv",
        "loop.csv",
        "_day.csv",
    ]
    return OddFolder(files, beside)


def _events(chance: random.Random, **changes: str) -> list[Row]:
    names = (
        "Tea",
        'a "b" c',
        "x, y",
        "Crème 🛒",
        "two\nlines",
        "three\r\nlines",
        "back\\slash",
        '5" nail',
        "'x'",
    )
    return [event(product_name=chance.choice(names), **changes) for _ in range(chance.randint(1, 4))]


def _line(row: Row, quoting: int = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=quoting).writerow(row[name] for name in EVENT_COLUMNS)  # type: ignore[arg-type]
    return text.getvalue().removesuffix("\r\n")


def _lines(
    rows: Sequence[Row], end: str = "\n", header: str = HEADER, quoting: int = csv.QUOTE_MINIMAL
) -> str:
    return "".join(f"{line}{end}" for line in [header, *(_line(row, quoting) for row in rows)])


def _plain(chance: random.Random) -> OddFile:
    """Any line end, quoting and byte-order mark, the last line end or none."""
    rows = _events(chance)
    end = chance.choice(["\n", "\r\n", "\r", "\r\r\n"])
    quoting = chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    header = chance.choice(
        [HEADER, HEADER.upper(), ", ".join(EVENT_COLUMNS), f'"{HEADER}"'.replace(",", '","')]
        + [blank.join(f"{HEADER}".partition("user_id")) for blank in ("\ufeff", "\u200b", "\u3000")]
    )
    text = _lines(rows, end, header, quoting)
    text = chance.choice([text, text.removesuffix(end), text + end * 3, text + "\r\r\n"])
    mark = chance.choice(["", "\ufeff", "\ufeff\ufeff", "\u200b", "\u00a0\u2060"])
    return OddFile("plain", (mark + text).encode(), written=rows)


def _mixed_ends(chance: random.Random) -> OddFile:
    rows = [event() for _ in range(6)]
    text = "".join(
        f"{line}{chance.choice([chr(10), chr(13), chr(13) + chr(10)])}"
        for line in [HEADER, *map(_line, rows)]
    )
    return OddFile("mixed", text.encode(), any=rows)


def _encoded(chance: random.Random) -> OddFile:
    rows = [event(product_name="Café") for _ in range(3)]
    encoding = chance.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
    return OddFile(
        "encoded", _lines(rows, chance.choice(["\n", "\r\n", "\r"])).encode(encoding), refused=rows
    )


def _bad_bytes(chance: random.Random) -> OddFile:
    """A NUL, half a character, a surrogate that UTF-8 does not have; the record beside is good."""
    good, bad = event(), event(product_name="@")
    data = chance.choice([b"\0", b"\xc3", b"\xff\xfe", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\x80"])
    content = _lines([bad, good]).encode().replace(b"@", b"x" + data + b"y")
    reasons = frozenset({"invalid_utf8", "nul_character"})
    return OddFile("bytes", content, written=[good], refused=[bad], reasons=reasons)


def _large(chance: random.Random) -> OddFile:
    """A field of 200 kB, or of as many fields as bytes; the record after it is good."""
    good, bad = event(), event(product_name="@")
    filling = chance.choice(["x" * 200_000, '"' + '""' * 100_000 + '"', "," * 60_000, "," * 200_000])
    content = _lines([bad, good], chance.choice(["\n", "\r"])).replace("@", filling)
    return OddFile("large", content.encode(), written=[good], refused=[bad])


def _large_header(chance: random.Random) -> OddFile:
    rows = [event()]
    header = chance.choice(["x" * 200_000, "x" * 140_000 + "," + HEADER, "," * 70_000, '"' * 150_001])
    return OddFile("header", _lines(rows, chance.choice(["\n", "\r"]), header).encode(), any=rows)


def _without_header(chance: random.Random) -> OddFile:
    rows = [event(product_name="price") for _ in range(chance.randint(1, 3))]
    content = "".join(f"{_line(row)}{chance.choice([chr(10), ''])}" for row in rows[:1])
    content += "".join(f"\n{_line(row)}" for row in rows[1:])
    return OddFile("headless", content.encode(), refused=rows, reasons=frozenset({"wrong_header"}))


def _json(chance: random.Random) -> OddFile:
    rows = [event() for _ in range(50)]
    end = chance.choice([",", "\n"])
    content = end.join(json.dumps(row) for row in rows)
    return OddFile("json", content.encode(), refused=rows, reasons=frozenset({"wrong_header"}))


def _other_header(chance: random.Random) -> OddFile:
    rows = _events(chance)
    names = list(EVENT_COLUMNS)
    header = chance.choice(
        [";".join(names), "\t".join(names), ",".join(reversed(names)), ",".join(names[:-1])]
    )
    return OddFile(
        "other", _lines(rows, header=header).encode(), refused=rows, reasons=frozenset({"wrong_header"})
    )


def _quoted_otherwise(chance: random.Random) -> OddFile:
    """Escaped by a backslash, blanks of any kind before the quote, text after it, never closed."""
    good, bad = event(), event(product_name="@")
    name = chance.choice([r'"19\" screen"', ' "abc"', '"abc"x', '"a""b"c', '"never closed', r'"5\" x 6\""'])
    name = chance.choice([name, chance.choice([*BLANKS.replace("\n", ""), "\u200b"]) + '"abc"'])
    content = _lines([bad, good]).replace("@", name)
    reasons = frozenset({"broken_quotes", "corrupt"})
    return OddFile("quotes", content.encode(), written=[good], refused=[bad], reasons=reasons)


def _nulls(chance: random.Random) -> OddFile:
    null = chance.choice(["NULL", "\\N", "null", '"NULL"', " NULL "])
    view, purchase = event(event_type="view", price="@"), event(event_type="purchase", price="@")
    nobody = event(user_id="\\N")
    content = _lines([view, purchase, nobody]).replace("@", null)
    reasons = frozenset({"missing_price", "missing_user_id"})
    return OddFile("nulls", content.encode(), written=[view], refused=[purchase, nobody], reasons=reasons)


def _twice(chance: random.Random) -> OddFile:
    """The same event again is a duplicate; another with its id is refused."""
    first = event(event_type="purchase", price="35.79")
    other = {**first, "price": "99.00", "product_name": "Another"}
    content = _lines([first, first, {**first, "price": "35.790"}, other, first])
    return OddFile("twice", content.encode(), written=[first], reasons=frozenset({"conflict"}))


def _joined(_chance: random.Random) -> OddFile:
    """Two files, one after the other, each with its mark and header."""
    first, second = event(), event()
    content = _lines([first]).encode("utf-8-sig") + _lines([second]).encode("utf-8-sig")
    return OddFile("joined", content, written=[first, second])


def _nothing(chance: random.Random) -> OddFile:
    return OddFile("nothing", chance.choice([b"", HEADER.encode(), b"\n\r\n\n", b"\xef\xbb\xbf", b"\r\r"]))


def _holes(_chance: random.Random) -> OddFile:
    return OddFile("holes", b"\0" * 300_000)


_KINDS: Sequence[Callable[[random.Random], OddFile]] = (
    _plain, _plain, _plain, _mixed_ends, _encoded, _bad_bytes, _large, _large_header, _without_header, _json,
    _other_header, _quoted_otherwise, _nulls, _twice, _joined, _nothing, _holes,
)  # fmt: skip


def ends_of(rows: Sequence[Row], stored: set[str], raw: bytes) -> Iterator[tuple[Row, int]]:
    """Each row with the number of its ends: stored, or in a refused record of its file."""
    plain = raw.replace(b"\0", b"")
    for row in rows:
        yield row, (row["event_id"] in stored) + (row["event_id"].encode() in plain)
