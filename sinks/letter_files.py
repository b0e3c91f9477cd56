"""Dead letters, their owners, and their files: canonical Extended JSON that people can read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from dataclasses import field as dataclass_field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bson import json_util
from bson.codec_options import DatetimeConversion
from bson.json_util import JSONMode, JSONOptions

from contracts import Document, FailedWrite, Rejected
from contracts.iso_times import read_time, time_with_z
from durable import patiently

# A date beyond Python's years is just what a letter may hold; it must be readable again.
_JSON = JSONOptions(
    json_mode=JSONMode.CANONICAL,
    tz_aware=True,
    tzinfo=timezone.utc,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
# Few, because the other digits in a file's name have to tell the letters of a group from each other.
GROUP_DIGITS = 4
LETTER_ID = re.compile(r"[0-9a-f]{6,64}")
# A retry needs these fields of a document, or of one to be written.
_NAMES = ("_id", "updatedAt", "userId", "metricType", "timeRange")
_TIMES = ("time", "last_attempt", "last_seen")


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of letters: `name` is for people (a database and collection, a folder), `place` its address.

    A folder of letters may serve several deployments, or one with corrected settings: a document that is
    missing in another database is not gone. `place` is a hash, because an address may hold a secret.
    """

    name: str
    place: str

    @classmethod
    def of(cls, name: str, addresses: Iterable[str]) -> Owner:
        """Make an owner; `addresses` are hosts with their ports in any order, or a path."""
        return cls(name, _short_hash(",".join(sorted(set(addresses)))))

    @classmethod
    def parse(cls, text: str) -> Owner:
        """Make the owner whose `str` is `text`."""
        name, _, place = text.rpartition("@")
        return cls(name, place)

    def __str__(self) -> str:
        return f"{self.name}@{self.place}"

    @property
    def tag(self) -> str:
        """The owner's mark in a letter's file name: eight hexadecimal digits."""
        return _short_hash(str(self))


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    `record` is the whole document, or the names and the hash of one that is too long (see DeadLetters), or
    the names and the text of one that Extended JSON cannot hold. `owner` is an Owner as text; None in letters
    of earlier versions. `path` is the file it was read from: a person may have copied, renamed or edited it.
    `time` is when it was stored, `times` how many versions of its document were refused, `last_seen` when the
    last one was, if more than one.
    """

    id: str
    time: datetime
    batch_id: str
    reason: str
    field: str | None
    user_id: str | None
    record: dict[str, Any]
    attempts: int = 0
    last_attempt: datetime | None = None
    parked: bool = False
    owner: str | None = None
    times: int = 1
    last_seen: datetime | None = None
    path: Path | None = dataclass_field(default=None, compare=False)

    @property
    def problem(self) -> str:
        """The reason, and the field that it is about: letters of one problem are told together."""
        return f"{self.reason} {self.field or ''}".rstrip()

    @property
    def newest(self) -> datetime:
        """When its record was refused last."""
        return self.last_seen or self.time

    @property
    def value(self) -> object:
        """What stands in the record at `field`; None where nothing does, or the letter names no field."""
        found: Any = self.record if self.field else None
        for name in (self.field or "").split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found


@dataclass(frozen=True, slots=True)
class DamagedLetter:
    """A file among the letters that holds none, or that cannot be read, with the reason for people."""

    path: Path
    reason: str


def letter_of(
    record: Rejected | FailedWrite, batch_id: str, now: datetime, max_bytes: int, owner: Owner | None
) -> Letter:
    """Make the letter about `record`; JSON longer than `max_bytes` is not kept in it."""
    document = record.document
    user = document.get("userId")
    user_id = None if user is None else str(user)[:100]
    kept = bounded(document, max_bytes)
    of_whom = None if owner is None else str(owner)
    letter_id, field = id_of(record, owner), _field(record)
    return Letter(letter_id, now, batch_id, record.reason, field, user_id, kept, owner=of_whom)


def _field(record: Rejected | FailedWrite) -> str | None:
    return record.field if isinstance(record, Rejected) else None


def id_of(record: Rejected | FailedWrite, owner: Owner | None, version: Any = None) -> str:
    """A hash of `(_id, reason, field)` and the owner; before there were owners, without one.

    Where `record` is of a group, its digits come first. Earlier versions of this service made another letter
    for each `version` (`updatedAt`) of a document.
    """
    of_whom = None if owner is None else str(owner)
    found = _hash(_identity(record.document), version, record.reason, _field(record), of_whom)
    group = record.group if isinstance(record, Rejected) else ""
    return beginning_of(group) + found[GROUP_DIGITS:] if group else found


def beginning_of(group: str) -> str:
    """The digits with which the ids of all letters of `group` begin, and of some others."""
    return _short_hash(group)[:GROUP_DIGITS]


def id_today(letter: Letter) -> str:
    """The id that a letter of an earlier version has by `id_of`; its own if it names no document."""
    if "text" in letter.record and "_id" not in letter.record:
        return letter.id
    return _hash(_identity(letter.record), None, letter.reason, letter.field, letter.owner)


def _hash(identity: Any, version: Any, reason: str, field: str | None, owner: str | None) -> str:
    parts = [identity, version, reason, field] + ([] if owner is None else [owner])
    return hashlib.sha256(_dumps(parts).encode("utf-8", "backslashreplace")).hexdigest()


def version_of(document: Document) -> str | None:
    """What tells a version of `document` from its other ones, as text; None where there is one only."""
    moment = document.get("updatedAt", document.get("calculatedAt"))
    return None if moment is None else _dumps(moment)


def _identity(document: Document) -> Any:
    """`_id`, or for an analytics document, which has none yet, its key."""
    if "_id" in document:
        return document["_id"]
    return [document.get(name) for name in ("userId", "timeRange", "metricType")]


def bounded(document: Document, max_bytes: int) -> dict[str, Any]:
    """What a letter keeps of `document`: all of it, or its name and hash where its JSON is longer."""
    text = _dumps(dict(document)).encode("utf-8", "backslashreplace")
    if len(text) <= max_bytes:
        return dict(document)
    names = {name: document[name] for name in ("_id", "updatedAt") if name in document}
    return {**names, "sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}


def _dumps(value: Any) -> str:
    """Canonical Extended JSON; what has no such form is stored as its text."""
    try:
        return json_util.dumps(value, json_options=_JSON)
    except (TypeError, ValueError, OverflowError):
        return repr(value)


def without_content(letter: Letter) -> Letter:
    """A letter with no more of its record than names the document; its file keeps the rest."""
    record = letter.record
    return replace(letter, record={name: record[name] for name in _NAMES if name in record})


def fields_of(letter: Letter) -> dict[str, Any]:
    """The fields of a letter without the values of its record."""
    fields = asdict(replace(letter, record={}))
    del fields["path"]
    return fields


def as_text(letter: Letter) -> str:
    """What the file of a letter holds."""
    fields = fields_of(letter)
    fields["record"] = letter.record if _has_json(letter.record) else _as_text(letter.record)
    for name in _TIMES:
        fields[name] = fields[name] and time_with_z(fields[name], "auto")
    return json_util.dumps(fields, indent=2, json_options=_JSON) + "\n"


def _has_json(record: Document) -> bool:
    """Whether Extended JSON gives the record back: a field named `$oid` would be taken for a type."""
    try:
        text = json_util.dumps(record, json_options=_JSON)
        return _same(record, json_util.loads(text, json_options=_JSON))
    except Exception:  # noqa: BLE001 - the boundary: a record may hold anything
        return False


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return list(before) == list(after) and all(_same(before[name], after[name]) for name in before)
    if isinstance(before, list | tuple) and isinstance(after, list):
        return len(before) == len(after) and all(map(_same, before, after))
    if isinstance(before, datetime):
        return isinstance(after, datetime)  # BSON has no microseconds
    # NaN does not equal itself.
    return bool(before == after) or repr(before) == repr(after)


def _as_text(record: Document) -> dict[str, Any]:
    """Returns `record` as one text, beside the fields that name the document."""
    names = {name: record[name] for name in _NAMES if name in record and _has_json({name: record[name]})}
    return {**names, "text": repr(record)}


def read_letter(path: Path) -> Letter | DamagedLetter | None:
    """Returns the letter in the file `path`, or why that holds none; None where the file is gone."""
    try:
        fields = json_util.loads(patiently(path.read_bytes).decode(), json_options=_JSON)
        for name in _TIMES:
            fields[name] = (text := fields.get(name)) and read_time(text)
        letter = Letter(**fields, path=path)
        return letter if _is_whole(letter) else DamagedLetter(path, "its fields are no letter's")
    except FileNotFoundError:
        return None
    except OSError as error:
        return DamagedLetter(path, f"it cannot be read: {error.strerror}")
    except Exception:  # noqa: BLE001 - the boundary: no file may hide the letters beside it
        return DamagedLetter(path, "it holds no letter")


def _is_whole(letter: Letter) -> bool:
    """Whether each field of `letter` has its type; an edited file may hold other ones."""
    times = [letter.time, *(time for time in (letter.last_attempt, letter.last_seen) if time is not None)]
    return (
        all(isinstance(text, str) for text in (letter.id, letter.batch_id, letter.reason))
        and all(isinstance(text, str | None) for text in (letter.field, letter.user_id, letter.owner))
        and all(isinstance(time, datetime) and time.tzinfo is not None for time in times)
        and isinstance(letter.record, dict)
        and all(isinstance(count, int) for count in (letter.attempts, letter.times))
        and isinstance(letter.parked, bool)
        and LETTER_ID.fullmatch(letter.id) is not None
    )
