"""What `dlq show` says of a letter before its record: what is wrong, where, how to mend it, what then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analytics.texts import shown
from contracts.health import SOURCE_COLLECTION
from sinks.dead_letters import Letter, Owner
from sinks.stream_letters import RejectedRecord, records_of
from told import told

_RECORDS_SHOWN = 3


def words_of(letter: Letter, pipeline: str) -> list[str]:
    """The lines about `letter`, which is of `pipeline`."""
    records = records_of(letter.record, letter.reason)
    retry = told(f"{pipeline} dlq retry", letter.id[:12])
    purge = told(f"{pipeline} dlq purge", letter.id[:12])
    if records:
        return [
            *_of_records(letter, records),
            "mend:  what sends them, and send them again; or the rule or setting that refuses them",
            f"then:  sent again: {purge}; otherwise, while the stream is stopped: {retry}",
        ]
    if isinstance(notice := letter.record.get("notice"), Mapping):
        # The name of the receiver is in the place of a field.
        said = shown(str(notice.get("message")))
        whose = f"a notice of user {letter.user_id}"
        return [
            f"wrong: the {letter.field} did not take {whose} ({letter.reason}): {said}",
            f"mend:  the receiver: {told('check')} tries it",
            f"then:  {retry} tells it again; if nobody needs to hear it any more: {purge}",
        ]
    then = f"then:  nothing: the stream sees it and tries the letter again; without a stream: {retry}"
    return [*_of_document(letter), then]


def _of_document(letter: Letter) -> Iterator[str]:
    record, whose = letter.record, f" of user {letter.user_id}" if letter.user_id else ""
    if "metricType" in record:
        yield f"wrong: MongoDB refused the result {record['metricType']} of {record.get('timeRange')}{whose}"
        yield f"mend:  what refuses it ({letter.reason}): a validator, an index, or rights of {_name(letter)}"
        return
    if letter.field:
        yield f"wrong: {letter.field} is {shown(repr(letter.value))} ({letter.reason})"
    else:
        yield f"wrong: the document cannot be used ({letter.reason})"
    if "_id" not in record:
        yield f"where: a document{whose} that has no _id in this letter"
        yield "mend:  the document, and set its updatedAt to now"
        return
    place = _literal(record["_id"])
    yield f"where: {SOURCE_COLLECTION}, _id {place}{whose}"
    changed = f"{letter.field!r}: CORRECT_VALUE, " if letter.field else ""
    update = f"{{_id: {place}}}, {{$set: {{{changed}updatedAt: new Date()}}}}"
    yield f"mend:  mongosh: db.{SOURCE_COLLECTION}.updateOne({update})"


def _of_records(letter: Letter, records: Sequence[RejectedRecord]) -> Iterator[str]:
    first, last = records[0], records[-1]
    span = f"{first.position}" if len(records) == 1 else f"{first.position} to {last.position}"
    yield f"wrong: {len(records)} × {letter.reason}"
    yield f"where: {first.source}, {span}"
    for record in records[:_RECORDS_SHOWN]:
        hint = f" ({record.hint})" if record.hint else ""
        yield f"       {record.position}: {_text(record.raw)}{hint}"
    if len(records) > _RECORDS_SHOWN:
        yield f"       and {len(records) - _RECORDS_SHOWN} more"


def _text(raw: bytes | None) -> str:
    return "no value" if raw is None else shown(raw.decode("utf-8", "backslashreplace"))


def _literal(value: Any) -> str:
    """As mongosh writes it."""
    kind = type(value).__name__
    return f'ObjectId("{value}")' if kind == "ObjectId" else shown(repr(value))


def _name(letter: Letter) -> str:
    return Owner.parse(letter.owner).name if letter.owner else "the results' collection"
