"""The dead-letter queue: one file a letter, readable by people, never half-written, never doubled."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from contracts import ConfigurationError, DeadLetterError, FailedWrite, Rejected
from durable import sync_folder, write_atomically
from sinks.letter_files import LETTER_ID, Letter, Owner, as_text, id_of, letter_of, read_letter

__all__ = ["DeadLetters", "Letter", "Owner", "RetryOutcome"]

_MAX_RECORD_BYTES = 1_000_000
_SHOWN_ID = 12
# The time, the owner's tag, and the beginning of the id; letters of earlier versions have no tag.
_NAME = re.compile(r"_(\d{8}_\d{6})_(?:([0-9a-f]{8})_)?[0-9a-f]+\.json$")


@dataclass(frozen=True, slots=True)
class RetryOutcome:
    """The ids of letters that were tried again, by the result of the retry."""

    resolved: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


class DeadLetters:
    """A folder of letters, mode 0600 in a folder of mode 0700, because they hold people's health data.

    A letter's id is a hash of `(_id, updatedAt, reason, field)` and its owner: a repeated batch stores none
    twice. Letters of another owner are left alone; only `get` can show them. Letters of earlier versions
    have no owner and may be of any deployment that uses the folder: they are listed and tried like one's own.
    """

    def __init__(
        self,
        directory: str | Path,
        prefix: str = "analytics_dlq",
        max_attempts: int = 5,
        max_record_bytes: int = _MAX_RECORD_BYTES,
        owner: Owner | None = None,
    ) -> None:
        """Keep only a hash of a record whose JSON is longer than `max_record_bytes`.

        Without an `owner` every letter counts as one's own.
        """
        self._owner = owner
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
            known, stored = self._ids(), 0
            for record in records:
                if not self._is_known(record, known):
                    letter = letter_of(record, batch_id, now, self._max_record_bytes, self._owner)
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
        return [self._is_known(record, ids) for record in records]

    def _is_known(self, record: Rejected | FailedWrite, ids: set[str]) -> bool:
        """Whether `ids` has the letter of `record`, by its id of today or of before there were owners."""
        # Most queues are empty, and an id is a hash over the whole record.
        return bool(ids) and any(id_of(record, owner)[:_SHOWN_ID] in ids for owner in {self._owner, None})

    def owns(self, letter: Letter) -> bool:
        """Whether `letter` is known to be of this owner, so that its record can be looked up here."""
        return self._owner is None or letter.owner == str(self._owner)

    def others(self) -> Mapping[str, int]:
        """How many letters of others lie in the folder, by the name of their owner."""
        counts: Counter[str] = Counter()
        names: dict[str, str] = {}
        for path in self._all_paths():
            tag = _tag_of(path)
            if not self._is_mine(path) and tag is not None:
                if tag not in names:
                    letter = read_letter(path)
                    names[tag] = Owner.parse(letter.owner).name if letter and letter.owner else tag
                counts[names[tag]] += 1
        return counts

    def list(self) -> list[Letter]:
        """Returns all readable letters of this owner, oldest first; passes over other and damaged files."""
        letters = [letter for path in self._paths() if (letter := read_letter(path)) is not None]
        return sorted(letters, key=lambda letter: (letter.time, letter.id))

    def newest(self, limit: int) -> Sequence[Letter]:
        """Returns those of the newest `limit` letters that can be read, oldest first."""
        paths = list(self._paths())[-limit:]
        return [letter for path in paths if (letter := read_letter(path)) is not None]

    def count(self) -> int:
        """How many letters there are, without reading them."""
        return sum(1 for _ in self._paths())

    def waiting(self) -> tuple[int, datetime | None]:
        """Returns the number of letters and when the oldest was stored; looks at their names alone."""
        names = [path.name for path in self._paths()]
        times = (moment for name in names if (moment := _time_in(name)) is not None)
        return len(names), next(times, None)

    def get(self, letter_id: str, of_anybody: bool = False) -> Letter:
        """The letter whose id begins with `letter_id`. Raises ConfigurationError unless it is exactly one.

        Raises it for a letter of another database too, because there it must be retried or purged, unless
        `of_anybody`. Owners of one name at two addresses count as one, since servers are moved and renamed.
        """
        found = self._found(letter_id)
        if len(found) != 1:
            raise ConfigurationError(
                f"{len(found)} letters begin with {letter_id}; `main.py dlq list` shows all."
            )
        owner = found[0].owner and Owner.parse(found[0].owner)
        if owner and self._owner and owner.name != self._owner.name and not of_anybody:
            raise ConfigurationError(
                f"The letter {letter_id} belongs to {owner.name}, and the settings name {self._owner.name}: "
                "it is left alone. Retry or purge it with the settings of its own database or folder."
            )
        return found[0]

    def record_attempt(self, letter: Letter, now: datetime) -> Letter:
        """Count a retry that did not help, in the file of `letter`; after `max_attempts` it is parked.

        Raises ConfigurationError when it was deleted meanwhile.
        """
        path = self._path(letter)
        found = read_letter(path)
        if found is None or found.id != letter.id:
            raise ConfigurationError(f"The letter {letter.id} is gone.")
        attempts = found.attempts + 1
        parked = attempts >= self._max_attempts
        tried = replace(found, attempts=attempts, last_attempt=now, parked=parked)
        self._write(path, tried)
        return tried

    def delete(self, letter: Letter) -> None:
        """Remove the file of `letter` for good; one that is gone already is fine."""
        self._path(letter).unlink(missing_ok=True)

    def _found(self, letter_id: str) -> Sequence[Letter]:
        """Every letter, of any owner, whose id begins with `letter_id`.

        Reads only files with such names, and all of them when none has it: a person may have renamed one.
        """
        if not LETTER_ID.fullmatch(letter_id):
            raise ConfigurationError(f"{letter_id!r} is not a letter's id; `main.py dlq list` shows them.")
        begins = letter_id[:_SHOWN_ID]
        named = (path for path in self._all_paths(begins) if _id_in(path).startswith(begins))
        return _beginning(letter_id, named) or _beginning(letter_id, self._all_paths())

    def _path(self, letter: Letter) -> Path:
        if letter.path is not None:
            return letter.path
        tag = f"{Owner.parse(letter.owner).tag}_" if letter.owner else ""
        name = f"{self._prefix}_{letter.time:%Y%m%d_%H%M%S}_{tag}{letter.id[:_SHOWN_ID]}.json"
        return self._directory / name

    def _ids(self) -> set[str]:
        return {_id_in(path) for path in self._paths()}

    def _paths(self) -> Iterator[Path]:
        return filter(self._is_mine, self._all_paths())

    def _is_mine(self, path: Path) -> bool:
        return self._owner is None or _tag_of(path) in (None, self._owner.tag)

    def _all_paths(self, id_begins: str = "") -> Iterator[Path]:
        names = f"*{id_begins}*" if id_begins else "*"
        for path in sorted(self._directory.glob(f"{self._prefix}_{names}.json")):
            if path.is_file() and not path.is_symlink():
                yield path

    def _write(self, path: Path, letter: Letter) -> None:
        # `store` syncs the folder once for all letters.
        write_atomically(path, as_text(letter).encode("utf-8", "backslashreplace"), sync_name=False)


def _beginning(letter_id: str, paths: Iterable[Path]) -> Sequence[Letter]:
    letters = (letter for path in paths if (letter := read_letter(path)) is not None)
    return [letter for letter in letters if letter.id.startswith(letter_id)]


def _time_in(name: str) -> datetime | None:
    """The time in a file's name; None where a person gave it a name without one."""
    found = _NAME.search(name)
    try:
        return datetime.strptime(f"{found[1]}+0000", "%Y%m%d_%H%M%S%z") if found else None
    except ValueError:
        return None


def _id_in(path: Path) -> str:
    return path.stem.rpartition("_")[2]


def _tag_of(path: Path) -> str | None:
    found = _NAME.search(path.name)
    return found[2] if found else None
