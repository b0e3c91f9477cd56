"""What a person reads of a dead letter before its record."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from bson import ObjectId

from commands.letter_words import words_of
from contracts import FailedWrite, Rejected
from sinks.letter_files import Owner, letter_of
from sinks.stream_letters import RejectedRecord, as_letters

NOW = datetime(2026, 11, 25, tzinfo=timezone.utc)
ID, USER = ObjectId("665f1c2ab4d3e8a1c0ffee01"), ObjectId("665f1c2ab4d3e8a1c0ffee02")
DOCUMENT = {"_id": ID, "userId": USER, "metrics": {"steps": "many\u200b"}, "updatedAt": NOW}
UPDATE = f"{{_id: ObjectId(\"{ID}\")}}, {{$set: {{'metrics.steps': CORRECT_VALUE, updatedAt: new Date()}}}}"
STREAM = "nothing: the stream sees it and tries the letter again; without a stream: python main.py dlq retry "


def words(record: Rejected | FailedWrite, option: str = "") -> list[str]:
    return words_of(letter_of(record, "batch_1", NOW, 10**6, Owner.of("health.analytics", ["h"])), option)


def test_a_value_is_named_with_what_mends_it() -> None:
    """The update is one for mongosh as it stands, but for the value."""
    *told, then = words(Rejected(DOCUMENT, "not_a_number", "metrics.steps"))
    assert told == [
        "wrong: metrics.steps is 'many\\u200b' (not_a_number)",
        f'where: healthmetrics, _id ObjectId("{ID}") of user {USER}',
        f"mend:  mongosh: db.healthmetrics.updateOne({UPDATE})",
    ]
    assert then.startswith(f"then:  {STREAM}")


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
    told = words(Rejected(document, "broken", field))
    assert [line.partition(":")[0] for line in told] == ["wrong", "where", "mend", "then"]


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
    told = words(rejected, " --pipeline stock")
    assert told[:3] == ["wrong: 5 × corrupt", "where: sales/0, 0 to 4", "       0: no value (a tombstone)"]
    assert told[3] == f"       1: {'{' * 60}…"
    assert told[5] == "       and 2 more"
    assert told[-1].startswith("then:  sent again: python main.py dlq purge ")
    assert told[-1].count("--pipeline stock") == 2
