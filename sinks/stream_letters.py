"""Refused records of a stream as dead letters, many in one: a million records do not make a million files.

A letter holds the records of one source (a file, a topic's partition) that were refused for one reason, up to
a number and a size. Its identity is its content: a batch that is repeated stores no letter twice. Of a batch
that was cut in another way the records go that lie in letters already (sinks/known_records.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from contracts import Rejected

MAX_RECORDS = 500
# Raw bytes of a letter. One takes at most six as JSON, and a letter above 1 MB would keep only a hash.
MAX_BYTES = 150_000
# Positions of a source whose letters are looked up together. With another number, those that lie there would
# not be found.
_STRETCH = 10_000

# Source and position of a record, its bytes and its key: where a topic was made anew, two have one place.
Identity = tuple[str, int, bytes | None, bytes | None]


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record as it came: `position` counts within `source` (a line, an offset).

    `note` is all else that a retry of the record needs, the same for all records of a source;
    `timestamp_ms` is the source's time of it, in milliseconds since 1970; `key` is Kafka's, any bytes.
    `hint` says what a record that cannot be read looks like.
    """

    reason: str
    source: str
    position: int
    raw: bytes | None
    note: str | None = None
    timestamp_ms: int | None = None
    key: bytes | None = None
    hint: str | None = None


def as_letters(
    records: Iterable[RejectedRecord],
    position: str,
    unknown: Callable[[Sequence[RejectedRecord]], Sequence[RejectedRecord]] = lambda chunk: chunk,
) -> Iterator[Rejected]:
    """`records`, ordered by source and reason, as dead letters; `position` is its name in the letter.

    `unknown` gives those records of one group that are to be in letters.
    """
    for chunk in _chunks(records):
        if new := unknown(chunk):
            yield _letter(new, position)


def identity_of(record: RejectedRecord) -> Identity:
    """What tells a record from all others of its pipeline."""
    return record.source, record.position, record.raw, record.key


def group_of(record: RejectedRecord) -> str:
    """What a record has in common with all others of its letter."""
    stretch = record.position // _STRETCH
    return repr((record.source, record.reason, record.note, stretch))


def _chunks(records: Iterable[RejectedRecord]) -> Iterator[list[RejectedRecord]]:
    chunk: list[RejectedRecord] = []
    size = 0
    for record in records:
        length = len(record.raw or b"") + len(record.key or b"")
        if chunk and (
            group_of(chunk[0]) != group_of(record) or len(chunk) == MAX_RECORDS or size + length > MAX_BYTES
        ):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += length
    if chunk:
        yield chunk


def records_of(letter: dict[str, Any], reason: str) -> Sequence[RejectedRecord]:
    """The records that a letter's `record` holds; none when it is no letter of a stream, or a damaged one."""
    source, found, note = letter.get("source"), letter.get("records"), letter.get("note")
    if not isinstance(found, list) or not isinstance(source, str) or not isinstance(note, str | None):
        return []
    records = []
    for item in found:
        if (record := _read(item, reason, source, note)) is None:
            return []
        records.append(record)
    return records


def with_records(
    letter: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> tuple[dict[str, Any], int]:
    """The content of a letter with each of its records as `change` gives it, None for one that goes.

    `change` gets a record as it lies there; the same one back is no change. Returns also how many changed.
    """
    before = [item for item in letter.get("records") or () if isinstance(item, dict)]
    after = [change(item) for item in before]
    count = sum(one is not other for one, other in zip(before, after, strict=True))
    return {**letter, "records": [item for item in after if item is not None]}, count


def _letter(chunk: Sequence[RejectedRecord], position: str) -> Rejected:
    digest = hashlib.sha256()
    for record in chunk:
        raw = record.raw or b""
        digest.update(f"{record.position} {len(raw)} ".encode() + raw)
        # In a topic that was made anew the same place may hold the same value, of this key or another.
        digest.update(record.key or b"")
    first, last = chunk[0], chunk[-1]
    digest.update((first.note or "").encode())
    document: dict[str, Any] = {
        "_id": f"{first.source}:{first.position}-{last.position}:{digest.hexdigest()}",
        "source": first.source,
        "records": [_item(record, position) for record in chunk],
    }
    if first.note is not None:
        document["note"] = first.note
    return Rejected(document, first.reason, group=group_of(first))


def _item(record: RejectedRecord, position: str) -> dict[str, Any]:
    item: dict[str, Any] = {position: record.position, "raw": _shown(record.raw)}
    if record.timestamp_ms is not None:
        item["timestamp_ms"] = record.timestamp_ms
    if record.key is not None:
        item["key"] = _shown(record.key)
    if record.hint is not None:
        item["looks_like"] = record.hint
    return item


def _read(item: Any, reason: str, source: str, note: str | None) -> RejectedRecord | None:
    """Returns the record of which `_item` made `item`, however it calls the position; None if edited."""
    names = item.keys() - {"raw", "timestamp_ms", "key", "looks_like"} if isinstance(item, dict) else ()
    if len(names) != 1 or "raw" not in item:
        return None
    (name,) = names
    position, timestamp_ms, looks_like = item[name], item.get("timestamp_ms"), item.get("looks_like")
    raw, key = item["raw"], item.get("key")
    if not _is_long(position) or not (timestamp_ms is None or _is_long(timestamp_ms)):
        return None
    if not all(isinstance(one, str | bytes | None) for one in (raw, key)) or not isinstance(
        looks_like, str | None
    ):
        return None
    try:
        return RejectedRecord(
            reason, source, position, _bytes(raw), note, timestamp_ms, _bytes(key), looks_like
        )
    except UnicodeEncodeError:
        return None


def _is_long(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _shown(raw: bytes | None) -> str | bytes | None:
    """Returns `raw` as text where it is text, so that people can read it."""
    if raw is None:
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _bytes(shown: str | bytes | None) -> bytes | None:
    return shown.encode("utf-8") if isinstance(shown, str) else shown
