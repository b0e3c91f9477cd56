"""The dead-letter queue: nothing doubled, nothing half, private, and safe against odd ids."""

from __future__ import annotations

import stat
from datetime import datetime, timezone
from pathlib import Path

import pytest
from bson import Decimal128, ObjectId
from bson.datetime_ms import DatetimeMS

from contracts import ConfigurationError, DeadLetterError, FailedWrite, Rejected
from sinks.dead_letters import DeadLetters

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=timezone.utc)
DOCUMENT = {
    "_id": ObjectId(),
    "userId": ObjectId(),
    "updatedAt": NOW,
    "metrics": {"steps": Decimal128("NaN")},
}
REJECTED = Rejected(DOCUMENT, "not_finite", "metrics.steps")


def test_a_date_beyond_the_years_can_be_read_again(tmp_path: Path) -> None:
    """It may be the very reason of the letter; `dlq list` must not stumble over it."""
    letters = DeadLetters(tmp_path / "dlq")
    letters.store([Rejected({**DOCUMENT, "date": DatetimeMS(2**61)}, "out_of_range_date")], "batch_1", NOW)
    assert letters.list()[0].record["date"] == DatetimeMS(2**61)


def test_a_letter_keeps_reason_time_batch_and_the_full_record(tmp_path: Path) -> None:
    """What is stored can be read back with its types."""
    letters = DeadLetters(tmp_path / "dlq")
    assert letters.store([REJECTED], "batch_1", NOW) == 1
    (letter,) = letters.list()
    assert (letter.reason, letter.field, letter.batch_id, letter.time) == (
        "not_finite",
        "metrics.steps",
        "batch_1",
        NOW,
    )
    assert letter.record["_id"] == DOCUMENT["_id"]
    assert isinstance(letter.record["metrics"]["steps"], Decimal128)
    (path,) = (tmp_path / "dlq").iterdir()
    assert path.name.startswith("analytics_dlq_20261123_100000_")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_repeated_batch_stores_no_letter_twice(tmp_path: Path) -> None:
    """Also with a fresh object, as after a crash; another reason is another letter."""
    assert DeadLetters(tmp_path).store([REJECTED, REJECTED], "batch_1", NOW) == 1
    assert DeadLetters(tmp_path).store([REJECTED], "batch_2", NOW) == 0
    assert DeadLetters(tmp_path).store([Rejected(DOCUMENT, "out_of_range", "metrics.steps")], "b", NOW) == 1


def test_retries_are_counted_and_park_the_letter(tmp_path: Path) -> None:
    """After `max_attempts` automatic retries leave it alone."""
    letters = DeadLetters(tmp_path, max_attempts=2)
    letters.store([REJECTED], "batch_1", NOW)
    letter_id = letters.list()[0].id
    assert not letters.record_attempt(letter_id, NOW).parked
    assert letters.record_attempt(letter_id, NOW).parked
    assert letters.list()[0].attempts == 2
    letters.delete(letter_id)
    assert letters.list() == []


def test_a_folder_that_cannot_be_written_fails_the_batch(tmp_path: Path) -> None:
    """Nothing is dropped: the error names the folder and the setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DeadLetterError, match="DLQ_DIRECTORY"):
        DeadLetters(tmp_path / "file" / "dlq").store([REJECTED], "batch_1", NOW)


def test_a_huge_or_unencodable_record_is_still_a_letter(tmp_path: Path) -> None:
    """Over 1 MB: hash and pointer; without a JSON form: its text."""
    huge = {"_id": 1, "updatedAt": NOW, "text": "x" * 2_000_000}
    odd = {"userId": ObjectId(), "metricType": "steps", "timeRange": "7day", "value": object()}
    letters = DeadLetters(tmp_path)
    assert (
        letters.store([Rejected(huge, "wrong_type_date"), FailedWrite(odd, "cannot be encoded")], "b", NOW)
        == 2
    )
    assert all(path.stat().st_size < 5_000 for path in tmp_path.iterdir())
    assert len(letters.list()) == 2


def test_a_field_that_looks_like_a_type_of_json_stops_no_letter(tmp_path: Path) -> None:
    """`{"$oid": "x"}` may be stored by anyone; read as Extended JSON it made the whole queue unreadable."""
    odd = {"_id": ObjectId(), "updatedAt": NOW, "userId": {"$oid": "x"}, "metrics": [{"$date": "never"}]}
    letters = DeadLetters(tmp_path)
    letters.store([Rejected(odd, "wrong_type_userId"), REJECTED], "b", NOW)
    found = {letter.record["_id"]: letter.record for letter in letters.list()}
    assert len(found) == 2
    assert found[odd["_id"]] == {"_id": odd["_id"], "updatedAt": NOW, "text": repr(odd)}


def test_a_letter_that_is_no_extended_json_is_passed_over(tmp_path: Path) -> None:
    """Written by hand, or by an earlier version: the others can still be read and retried."""
    letters = DeadLetters(tmp_path)
    letters.store([REJECTED], "b", NOW)
    (tmp_path / "analytics_dlq_20260101_000000_odd.json").write_text('{"record": {"userId": {"$oid": "x"}}}')
    assert len(letters.list()) == 1


@pytest.mark.parametrize("letter_id", ["../../etc/passwd", "*", "", "abc"])
def test_an_id_that_is_none_is_refused(tmp_path: Path, letter_id: str) -> None:
    """No path, no pattern, nothing ambiguous."""
    with pytest.raises(ConfigurationError):
        DeadLetters(tmp_path).get(letter_id)


def test_foreign_damaged_and_linked_files_are_passed_over(tmp_path: Path) -> None:
    """The queue is a folder that people look into."""
    letters = DeadLetters(tmp_path)
    (tmp_path / "analytics_dlq_20260101_000000_broken.json").write_text("{")
    (tmp_path / "analytics_dlq_20260101_000000_link.json").symlink_to("/etc/hostname")
    (tmp_path / "notes.txt").write_text("mine")
    assert letters.list() == []
