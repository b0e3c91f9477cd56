"""The dead-letter queue: one file a letter, readable by people, never half-written, never doubled."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bson import json_util
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from bson.json_util import JSONMode, JSONOptions

from contracts import ConfigurationError, DeadLetterError, Document, FailedWrite, Rejected
from durable import sync_folder

# A date beyond Python's years is just what a letter may hold; it must be readable again.
_JSON = JSONOptions(
    json_mode=JSONMode.CANONICAL,
    tz_aware=True,
    tzinfo=timezone.utc,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
_MAX_RECORD_BYTES = 1_000_000
_ID = re.compile(r"[0-9a-f]{6,64}")
_SHOWN_ID = 12
# What a retry needs to know of a document, or of one to be written.
_NAMES = ("_id", "updatedAt", "userId", "metricType", "timeRange")
_TIME_IN_NAME = re.compile(r"_(\d{8}_\d{6})_[0-9a-f]+\.json$")


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter.

    `record` is the whole document, or `{_id, sha256, bytes}` of one that is too long (1 MB of JSON for
    documents, see DeadLetters), or the names and the
    text of one that Extended JSON cannot tell.
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


@dataclass(frozen=True, slots=True)
class RetryOutcome:
    """Ids of letters that were tried again, by what became of them."""

    resolved: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


class DeadLetters:
    """A folder of letters, mode 0600 in a folder of mode 0700, because they hold people's health data.

    A letter's id is a hash of `(_id, updatedAt, reason, field)`: a batch that is repeated stores none twice.
    """

    def __init__(
        self,
        directory: str | Path,
        prefix: str = "analytics_dlq",
        max_attempts: int = 5,
        max_record_bytes: int = _MAX_RECORD_BYTES,
    ) -> None:
        """Of a record whose JSON is longer than `max_record_bytes` only a hash is kept."""
        self._max_record_bytes = max_record_bytes
        self._directory = Path(directory)
        self._prefix = prefix
        self._max_attempts = max_attempts

    def store(self, records: Sequence[Rejected | FailedWrite], batch_id: str, now: datetime) -> int:
        """Store a letter for each record that has none yet; returns how many are new.

        Raises DeadLetterError when one cannot be stored: its batch must not be marked done.
        """
        if not records:
            return 0
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            known = self._ids()
            stored = 0
            for record in records:
                letter = _letter(record, batch_id, now, self._max_record_bytes)
                if letter.id[:_SHOWN_ID] not in known:
                    known.add(letter.id[:_SHOWN_ID])
                    self._write(self._path(letter), letter)
                    stored += 1
            if stored:
                sync_folder(self._directory)
        except OSError as error:
            raise DeadLetterError(
                f"A dead letter cannot be stored in {self._directory} ({error.strerror}); the batch is held. "
                "Make the folder writable, free space, or change DLQ_DIRECTORY."
            ) from error
        return stored

    def known(self, records: Sequence[Rejected | FailedWrite]) -> list[bool]:
        """For each record, whether its letter lies in the queue."""
        ids = self._ids()
        # Most queues are empty, and an id is a hash over the whole record.
        return [bool(ids) and _id_of(record)[:_SHOWN_ID] in ids for record in records]

    def list(self) -> list[Letter]:
        """All readable letters, oldest first; foreign and damaged files are passed over."""
        letters = [letter for path in self._paths() if (letter := _read(path)) is not None]
        return sorted(letters, key=lambda letter: (letter.time, letter.id))

    def newest(self, limit: int) -> Sequence[Letter]:
        """The readable ones among the newest `limit` letters, oldest first."""
        paths = list(self._paths())[-limit:]
        return [letter for path in paths if (letter := _read(path)) is not None]

    def count(self) -> int:
        """How many letters there are, without reading them."""
        return sum(1 for _ in self._paths())

    def waiting(self) -> tuple[int, datetime | None]:
        """How many letters there are and when the oldest was stored, by their names alone."""
        names = [path.name for path in self._paths()]
        times = (_TIME_IN_NAME.search(name) for name in names[:1])
        oldest = [datetime.strptime(f"{found[1]}+0000", "%Y%m%d_%H%M%S%z") for found in times if found]
        return len(names), oldest[0] if oldest else None

    def get(self, letter_id: str) -> Letter:
        """The letter whose id begins with `letter_id`. Raises ConfigurationError unless it is exactly one."""
        if not _ID.fullmatch(letter_id):
            raise ConfigurationError(f"{letter_id!r} is not a letter's id; `main.py dlq list` shows them.")
        found = [letter for letter in self.list() if letter.id.startswith(letter_id)]
        if len(found) != 1:
            raise ConfigurationError(
                f"{len(found)} letters begin with {letter_id}; `main.py dlq list` shows all."
            )
        return found[0]

    def record_attempt(self, letter_id: str, now: datetime) -> Letter:
        """Count a retry that did not help; after `max_attempts` the letter is parked."""
        letter = self.get(letter_id)
        attempts = letter.attempts + 1
        parked = attempts >= self._max_attempts
        tried = replace(letter, attempts=attempts, last_attempt=now, parked=parked)
        self._write(self._path(letter), tried)
        return tried

    def delete(self, letter_id: str) -> None:
        """Remove a letter for good; one that is gone already is fine."""
        with suppress(FileNotFoundError):
            self._path(self.get(letter_id)).unlink()

    def _path(self, letter: Letter) -> Path:
        return self._directory / f"{self._prefix}_{letter.time:%Y%m%d_%H%M%S}_{letter.id[:_SHOWN_ID]}.json"

    def _ids(self) -> set[str]:
        return {path.stem.rpartition("_")[2] for path in self._paths()}

    def _paths(self) -> Iterator[Path]:
        for path in sorted(self._directory.glob(f"{self._prefix}_*.json")):
            if path.is_file() and not path.is_symlink():
                yield path

    def _write(self, path: Path, letter: Letter) -> None:
        """Write beside, then rename: a reader never sees half a letter. O_EXCL follows no link."""
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.unlink(missing_ok=True)
        text = json_util.dumps(_as_json(letter), indent=2, json_options=_JSON)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _letter(record: Rejected | FailedWrite, batch_id: str, now: datetime, max_bytes: int) -> Letter:
    document = record.document
    user = document.get("userId")
    user_id = None if user is None else str(user)[:100]
    kept = _bounded(document, max_bytes)
    return Letter(_id_of(record), now, batch_id, record.reason, _field(record), user_id, kept)


def _field(record: Rejected | FailedWrite) -> str | None:
    return record.field if isinstance(record, Rejected) else None


def _id_of(record: Rejected | FailedWrite) -> str:
    document = record.document
    identity = [_identity(document), document.get("updatedAt"), record.reason, _field(record)]
    return hashlib.sha256(_dumps(identity).encode("utf-8", "backslashreplace")).hexdigest()


def _identity(document: Document) -> Any:
    """`_id`, or for an analytics document, which has none yet, its key."""
    if "_id" in document:
        return document["_id"]
    return [document.get(name) for name in ("userId", "timeRange", "metricType")]


def _bounded(document: Document, max_bytes: int) -> dict[str, Any]:
    text = _dumps(dict(document)).encode("utf-8", "backslashreplace")
    if len(text) <= max_bytes:
        return dict(document)
    digest = hashlib.sha256(text).hexdigest()
    return {"_id": document.get("_id"), "sha256": digest, "bytes": len(text)}


def _dumps(value: Any) -> str:
    """Canonical Extended JSON; what has no such form is stored as its text."""
    try:
        return json_util.dumps(value, json_options=_JSON)
    except (TypeError, ValueError, OverflowError):
        return repr(value)


def _as_json(letter: Letter) -> dict[str, Any]:
    fields = asdict(replace(letter, record={}))
    fields["record"] = letter.record if _has_json(letter.record) else _as_text(letter.record)
    for name in ("time", "last_attempt"):
        fields[name] = fields[name] and fields[name].isoformat().replace("+00:00", "Z")
    return fields


def _has_json(record: Document) -> bool:
    """Whether Extended JSON gives the record back: a field named `$oid` would be taken for a type."""
    try:
        json_util.dumps(record, json_options=_JSON)
    except (TypeError, ValueError, OverflowError):
        return False
    return not _has_dollar(record)


def _has_dollar(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(str(name).startswith("$") or _has_dollar(inner) for name, inner in value.items())
    return isinstance(value, list) and any(_has_dollar(inner) for inner in value)


def _as_text(record: Document) -> dict[str, Any]:
    """All of it as text, beside what names the document."""
    names = {name: record[name] for name in _NAMES if name in record and _has_json({name: record[name]})}
    return {**names, "text": repr(record)}


def _read(path: Path) -> Letter | None:
    try:
        fields = json_util.loads(path.read_text(encoding="utf-8"), json_options=_JSON)
        for name in ("time", "last_attempt"):
            fields[name] = fields[name] and datetime.fromisoformat(fields[name].replace("Z", "+00:00"))
        letter = Letter(**fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, BSONError):
        return None
    return letter if _ID.fullmatch(letter.id) else None
