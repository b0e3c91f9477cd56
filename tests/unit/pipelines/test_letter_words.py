"""What a person reads of a dead letter before its record."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from bson import ObjectId

from contracts import FailedWrite, Rejected
from pipelines.letter_words import words_of
from sinks.letter_files import Owner, letter_of
from sinks.stream_letters import RejectedRecord, as_letters
from told import told

NOW = datetime(2026, 11, 25, tzinfo=timezone.utc)
ID, USER = ObjectId("665f1c2ab4d3e8a1c0ffee01"), ObjectId("665f1c2ab4d3e8a1c0ffee02")
DOCUMENT = {"_id": ID, "userId": USER, "metrics": {"steps": "many\u200b"}, "updatedAt": NOW}
UPDATE = f"{{_id: ObjectId(\"{ID}\")}}, {{$set: {{'metrics.steps': CORRECT_VALUE, updatedAt: new Date()}}}}"
STREAM = "nothing: the stream sees it and tries the letter again; without a stream: "


def words(record: Rejected | FailedWrite, pipeline: str = "health") -> list[str]:
    return words_of(letter_of(record, "batch_1", NOW, 10**6, Owner.of("health.analytics", ["h"])), pipeline)


def test_a_value_is_named_with_what_mends_it() -> None:
    """The update is one for mongosh as it stands, but for the value."""
    *lines, then = words(Rejected(DOCUMENT, "not_a_number", "metrics.steps"))
    assert lines == [
        "wrong: metrics.steps is 'many\\u200b' (not_a_number)",
        f'where: healthmetrics, _id ObjectId("{ID}") of user {USER}',
        f"mend:  mongosh: db.healthmetrics.updateOne({UPDATE})",
    ]
    assert then.startswith(f"then:  {STREAM}{told('health dlq retry')} ")


@pytest.mark.parametrize(
    "document",
    [DOCUMENT, {**DOCUMENT, "_id": {"a": 1}}, {**DOCUMENT, "metrics": None}, {}, {"_id": None}],
    ids=["an id", "an odd id", "no metrics", "nothing", "no id"],
)
@pytest.mark.parametrize("field", [None, "metrics.steps", "date"])
def test_whatever_a_document_is_like_four_lines_tell_of_it(
    document: dict[str, Any], field: str | None
) -> None:
    """Each begins with what it is about."""
    lines = words(Rejected(document, "broken", field))
    assert [line.partition(":")[0] for line in lines] == ["wrong", "where", "mend", "then"]


def test_a_result_that_could_not_be_stored_names_what_refuses_it() -> None:
    """The document of the user is in order."""
    result = {"userId": USER, "metricType": "steps", "timeRange": "7day", "calculatedAt": NOW}
    wrong, mend, _ = words(FailedWrite(result, "121 DocumentValidationFailure"))
    assert wrong == f"wrong: MongoDB refused the result steps of 7day of user {USER}"
    assert "121 DocumentValidationFailure" in mend
    assert "health.analytics" in mend


def test_records_of_a_stream_are_told_by_place_with_the_first_of_them() -> None:
    """Sent again, the wrong ones only lie there; after a change of the rules they are tried again."""
    records = [RejectedRecord("corrupt", "sales/0", n, b"{" * 100, "t", 0, None, None) for n in range(5)]
    records[0] = RejectedRecord("corrupt", "sales/0", 0, None, "t", 0, None, "a tombstone")
    (rejected,) = as_letters(records, "offset")
    lines = words(rejected, "stock")
    assert lines[:3] == ["wrong: 5 × corrupt", "where: sales/0, 0 to 4", "       0: no value (a tombstone)"]
    assert lines[3] == f"       1: {'{' * 60}…"
    assert lines[5] == "       and 2 more"
    assert lines[-1].startswith(f"then:  sent again: {told('stock dlq purge')} ")
    assert f"stopped: {told('stock dlq retry')} " in lines[-1]


def test_a_notice_that_was_not_taken_names_its_receiver() -> None:
    """Neither a document nor a result is at fault."""
    notice = {"id": "x", "kind": "streak", "message": "7 days of steps in a row"}
    record = {"_id": "x", "userId": USER, "receiver": "webhook", "notice": notice}
    wrong, mend, then = words(Rejected(record, "notice_refused", "webhook"))
    assert wrong.startswith(f"wrong: the webhook did not take a notice of user {USER} (notice_refused): ")
    assert "7 days of steps in a row" in wrong
    assert mend.startswith("mend:  the receiver")
    assert told("health dlq retry") in then
