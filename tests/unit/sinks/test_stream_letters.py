"""Refused records of streams as dead letters: bounded, in order, without loss and without doubles."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sinks.dead_letters import DeadLetters
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
    (letter,) = as_letters(made, "offset")
    assert list(records_of(dict(letter.document), letter.reason)) == made


def test_a_letter_of_another_kind_holds_no_records() -> None:
    """Letters of the health pipeline, and records that were too large to be kept."""
    assert records_of({"_id": 1, "userId": 2}, "x") == []
    assert records_of({"_id": 1, "sha256": "", "bytes": 10**7}, "x") == []
