"""Refused records of streams as dead letters: bounded, in order, without loss and without doubles."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks import known_records
from sinks.dead_letters import DamagedLetter, DeadLetters, Letter
from sinks.known_records import KnownRecords
from sinks.letter_files import read_letter
from sinks.stream_letters import MAX_BYTES, MAX_RECORDS, RejectedRecord, as_letters, records_of

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def _record(position: int, raw: bytes | None = b"a,b\n") -> RejectedRecord:
    return RejectedRecord("corrupt", "/data/x.csv", position, raw)


def _stored(folder: Path, records: list[RejectedRecord]) -> list[RejectedRecord]:
    """What the queue gives back after it was written and read again."""
    letters = DeadLetters(folder, "ecommerce_dlq")
    letters.store(list(as_letters(records, "line")), "7", NOW)
    return [record for letter in letters.list() for record in records_of(letter.record, letter.reason)]


def test_a_letter_names_source_reason_and_every_record(tmp_path: Path) -> None:
    """Text as text, so that people can read it; other bytes as they are."""
    (letter,) = as_letters([_record(3), _record(9, b"\xff\n")], "line")
    assert letter.reason == "corrupt"
    assert letter.document["source"] == "/data/x.csv"
    assert letter.document["records"] == [{"line": 3, "raw": "a,b\n"}, {"line": 9, "raw": b"\xff\n"}]


def test_one_letter_holds_one_source_reason_and_note() -> None:
    """Each of the three begins another letter."""
    records = [
        RejectedRecord("corrupt", "a", 1, b""),
        RejectedRecord("corrupt", "b", 1, b""),
        RejectedRecord("wrong_header", "b", 2, b"", "x,y"),
        RejectedRecord("wrong_header", "b", 3, b"", "y,x"),
    ]
    assert len(list(as_letters(records, "line"))) == 4


def test_letters_are_bounded_in_number_and_size() -> None:
    """A file with a million bad lines makes some thousands of letters, none of them too large to be kept."""
    by_number = list(as_letters((_record(line) for line in range(MAX_RECORDS * 2 + 1)), "line"))
    assert [len(letter.document["records"]) for letter in by_number] == [MAX_RECORDS, MAX_RECORDS, 1]
    half = b"\x01" * (MAX_BYTES // 2)
    assert len(list(as_letters([_record(line, half) for line in range(4)], "line"))) == 2


def test_the_worst_letter_still_holds_its_records(tmp_path: Path) -> None:
    """As many bytes as fit, each of which takes six characters of JSON."""
    records = [_record(line, b"\x01" * (MAX_BYTES // MAX_RECORDS)) for line in range(MAX_RECORDS)]
    assert _stored(tmp_path, records) == records


def test_a_repeated_batch_stores_nothing_twice(tmp_path: Path) -> None:
    """The same records are the same letter; one that differs in one byte is another."""
    letters = DeadLetters(tmp_path, "ecommerce_dlq")
    for raw in (b"a\n", b"a\n", b"b\n"):
        letters.store(list(as_letters([_record(1, raw)], "line")), "7", NOW)
    assert letters.count() == 2


_BYTES = st.none() | st.binary(max_size=20)
_MADE = st.none() | st.integers(-(2**63), 2**63 - 1)


def test_the_same_value_of_another_key_or_topic_is_another_letter(tmp_path: Path) -> None:
    """A topic that was made anew has other records at the same offsets, perhaps with the same values."""
    made = [(b"1", None), (b"2", None), (b"1", "id of the old topic"), (b"1", "id of the new one")]
    letters = DeadLetters(tmp_path, "stock_dlq")
    for key, note in (*made, *made):
        record = RejectedRecord("corrupt", "sales/0", 3, None, note, key=key)
        letters.store(list(as_letters([record], "offset")), "stock 7", NOW)
    found = [record for letter in letters.list() for record in records_of(letter.record, letter.reason)]
    assert sorted(((record.key, record.note) for record in found), key=str) == sorted(made, key=str)


@given(st.lists(st.tuples(st.integers(0, 10**12), _BYTES, _BYTES, _MADE), min_size=1, max_size=5))
def test_records_come_back_as_they_were(
    records: list[tuple[int, bytes | None, bytes | None, int | None]],
) -> None:
    """Any bytes as value and key, NUL and broken UTF-8 included, or none; any time of Kafka."""
    made = [
        RejectedRecord("corrupt", "topic/0", position, raw, "id", time, key, "gzip")
        for position, raw, key, time in records
    ]
    letters = as_letters(made, "offset")
    assert [record for one in letters for record in records_of(dict(one.document), one.reason)] == made


def test_a_letter_of_another_kind_holds_no_records() -> None:
    """Letters of the health pipeline, and records that were too large to be kept."""
    assert records_of({"_id": 1, "userId": 2}, "x") == []
    assert records_of({"_id": 1, "sha256": "", "bytes": 10**7}, "x") == []


class _Queue:
    """A folder of letters, into which batches of records are refused as a stream does it."""

    def __init__(self, folder: Path) -> None:
        self.letters = DeadLetters(folder, "stock_dlq")
        self._known = KnownRecords(self.letters)

    def refuse(self, records: Sequence[RejectedRecord]) -> None:
        """One batch."""
        ordered = sorted(records, key=lambda record: (record.source, record.reason, record.position))
        letters = list(as_letters(ordered, "offset", self._known.now()))
        self.letters.store(letters, "stock 7", NOW)

    def held(self) -> Counter[RejectedRecord]:
        """How many letters hold each record."""
        return Counter(record for one in self.letters.list() for record in records_of(one.record, one.reason))


def test_streams_share_what_is_known_of_their_records(tmp_path: Path) -> None:
    """Each reads and notes its letters while the other does: wherever one is interrupted, nothing fails."""
    queue, sources = _Queue(tmp_path), ("matches/0", "players/0")
    for source in sources:
        queue.refuse([RejectedRecord(f"rule_{n:03}", source, n, b"x") for n in range(300)])

    def refuse_again(source: str) -> None:
        for n in range(300):
            queue.refuse([RejectedRecord(f"rule_{n:03}", source, n, b"x")])

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as streams:
            assert list(streams.map(refuse_again, sources)) == [None, None]
    finally:
        sys.setswitchinterval(usual)
    assert queue.held().total() == 600


# Of two partitions and two reasons, also beyond the end of what is looked up together.
_REFUSED = st.builds(
    lambda reason, partition, position: RejectedRecord(
        reason, f"sales/{partition}", position, f"{position % 7}".encode()
    ),
    st.sampled_from(("corrupt", "bad_price")),
    st.integers(0, 1),
    st.integers(0, 9) | st.integers(9_990, 10_010),
)


@given(
    st.lists(_REFUSED, unique=True, max_size=30),
    st.lists(st.lists(st.integers(0, 30), max_size=6), max_size=4),
)
@settings(deadline=None, max_examples=60)
def test_however_batches_are_cut_each_record_lies_in_one_letter(
    records: list[RejectedRecord], cuts: list[list[int]]
) -> None:
    """Read again and again from any place on, by the same process or another; and the letters stay."""
    with TemporaryDirectory() as folder:
        queue, known = _Queue(Path(folder)), set[str]()
        for cut in cuts:
            places = sorted({*cut, 30})
            for start, end in pairwise(places):
                queue.refuse(records[start:end])
            ids = {letter.id for letter in queue.letters.list()}
            assert known <= ids
            known = ids
            if len(places) % 2:
                queue = _Queue(Path(folder))
        queue.refuse(records)
        assert queue.held() == Counter(records)


def test_a_record_whose_letter_was_purged_gets_another(tmp_path: Path) -> None:
    """What is looked up is what lies there now."""
    queue = _Queue(tmp_path)
    for some in ([1, 2], [2, 3], [1, 2, 3]):
        queue.refuse([_record(position) for position in some])
    assert queue.letters.count() == 2
    queue.letters.delete(*queue.letters.list())
    queue.refuse([_record(2)])
    assert queue.held() == Counter([_record(2)])


def test_letters_of_an_earlier_version_are_known(tmp_path: Path) -> None:
    """Their ids do not begin like those of their group."""
    queue = _Queue(tmp_path)
    (letter,) = as_letters([_record(1), _record(2)], "offset")
    queue.letters.store([replace(letter, group="")], "7", NOW)
    queue.refuse([_record(1), _record(2)])
    assert queue.letters.count() == 1


def test_no_letter_is_read_twice_for_what_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trickle of refused records costs each batch one letter of before, not all."""
    read = list[Path]()

    def noted(path: Path) -> Letter | DamagedLetter | None:
        read.append(path)
        return read_letter(path)

    monkeypatch.setattr(known_records, "read_letter", noted)
    queue = _Queue(tmp_path)
    for position in range(20):
        queue.refuse([_record(position)])
    assert len(read) == len(set(read)) == 19
