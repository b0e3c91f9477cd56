"""The dead-letter queue: one file a letter, readable by people, never half-written, never doubled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from contracts import ConfigurationError, DeadLetterError, FailedWrite, Rejected
from durable import remove, sync_folder, write_atomically
from sinks.letter_files import (
    DamagedLetter,
    Letter,
    Owner,
    as_text,
    bounded,
    id_of,
    id_today,
    letter_of,
    read_letter,
    version_of,
)
from sinks.letter_folder import SHOWN_ID
from sinks.stored_letters import DIGITS, StoredLetters, letters_in

__all__ = ["DamagedLetter", "DeadLetters", "Letter", "Owner", "RetryOutcome"]

_MAX_RECORD_BYTES = 1_000_000
# A disk syncs some files at once in hardly more time than one.
_AT_ONCE = 8
# Letters that are removed between two looks whether to stop.
_PIECE = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryOutcome:
    """The ids of letters that were tried again, by the result of the retry; `stopped`: not all were tried."""

    resolved: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    stopped: bool = False


class DeadLetters(StoredLetters):
    """A folder of letters, mode 0600 in a folder of mode 0700, because they hold people's health data.

    A letter's id is a hash of `(_id, reason, field)` and its owner: a repeated batch, or another version of a
    document that is refused for the same reason, stores no second one.
    """

    def __init__(
        self,
        directory: str | Path,
        prefix: str = "analytics_dlq",
        max_attempts: int = 5,
        max_record_bytes: int = _MAX_RECORD_BYTES,
        owner: Owner | None = None,
        listed_by: str = "dlq list",
    ) -> None:
        """Keep only a hash of a record whose JSON is longer than `max_record_bytes`; see StoredLetters."""
        super().__init__(directory, prefix, owner, listed_by)
        self._max_record_bytes = max_record_bytes
        self._prefix = prefix
        self._max_attempts = max_attempts

    def store(self, records: Sequence[Rejected | FailedWrite], batch_id: str, now: datetime) -> int:
        """Store a letter for each record that has none yet; returns how many are new.

        The letter of a record that has one counts each further version of it, and keeps the last.
        Raises DeadLetterError when one cannot be stored: its batch must not be marked done.
        """
        if not records:
            return 0
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            known = self._by_id()
            new: dict[str, Letter] = {}
            again: dict[Path, Rejected | FailedWrite] = {}
            merged: list[Letter] = []
            for record in records:
                if (found := self._known(record, known)) is not None:
                    again[found] = record
                    continue
                letter = letter_of(record, batch_id, now, self._max_record_bytes, self._owner)
                if letter.id not in new:
                    new[letter.id], earlier = self._with_earlier(letter)
                    merged += earlier
            in_parallel(lambda letter: self._write(self._path(letter), letter), new.values())
            in_parallel(lambda found: self._count_version(*found, now), again.items())
            if new:
                sync_folder(self.directory)
            self.delete(*merged)
        except OSError as error:
            raise DeadLetterError(
                f"A dead letter cannot be stored in {self.directory} ({error.strerror}); the batch is held. "
                "Make the folder writable, free space, or change DLQ_DIRECTORY."
            ) from error
        return len(new)

    def known(self, records: Sequence[Rejected | FailedWrite]) -> list[bool]:
        """For each record, whether its letter lies in the queue."""
        files = self._by_id()
        return [self._known(record, files) is not None for record in records]

    def record_attempt(self, letter: Letter, now: datetime) -> Letter:
        """Count a retry that did not help, in the file of `letter`; after `max_attempts` it is parked.

        Raises ConfigurationError when it was deleted meanwhile.
        """
        path = self._path(letter)
        found = read_letter(path)
        if not isinstance(found, Letter) or found.id != letter.id:
            raise ConfigurationError(f"The letter {letter.id} is gone.")
        attempts = found.attempts + 1
        parked = attempts >= self._max_attempts
        tried = replace(found, attempts=attempts, last_attempt=now, parked=parked)
        self._write(path, tried)
        return tried

    def count_attempts(self, letters: Iterable[Letter], now: datetime) -> None:
        """Count a retry of each letter, which may have been deleted meanwhile."""

        def count(letter: Letter) -> None:
            with suppress(ConfigurationError):
                self.record_attempt(letter, now)

        in_parallel(count, letters)

    def replace_record(self, letter: Letter, record: dict[str, Any]) -> None:
        """Keep `record` in the file of `letter`, whose id and place stay. Raises DeadLetterError."""
        try:
            self._write(self._path(letter), replace(letter, record=record))
        except OSError as error:
            raise DeadLetterError(
                f"A dead letter cannot be written in {self.directory} ({error.strerror})."
            ) from error

    def delete(self, *letters: Letter | DamagedLetter) -> None:
        """Remove `letters` for good; one that is gone already is fine. Raises DeadLetterError."""
        self.remove(self._path(each) for each in letters)

    def purge(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Remove all of this owner's letters for good, damaged ones too, until `stop`; returns how many."""
        paths = [file.path for file in self._files()]
        for start in range(0, len(paths), _PIECE):
            if stop():
                return start
            self.remove(paths[start : start + _PIECE])
        return len(paths)

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove files of letters; one that is gone already is fine. Raises DeadLetterError."""
        try:
            in_parallel(remove, paths)
        except OSError as error:
            raise DeadLetterError(
                f"A dead letter cannot be removed from {self.directory} ({error.strerror})."
            ) from error

    def _by_id(self) -> dict[str, Path]:
        return {file.id[:DIGITS]: file.path for file in self._files()}

    def _known(self, record: Rejected | FailedWrite, files: Mapping[str, Path]) -> Path | None:
        """The file in `files` of the letter of `record`, by its id of today or of an earlier version."""
        # Most queues are empty, and an id is a hash over the whole record.
        if not files:
            return None
        versions = [None] + ([record.document["updatedAt"]] if "updatedAt" in record.document else [])
        same = [record]
        if isinstance(record, Rejected) and record.group:
            # Earlier versions knew no groups.
            same.append(replace(record, group=""))
        owners = {self._owner, None}
        ids = (id_of(one, owner, version) for version in versions for owner in owners for one in same)
        names = (found[:digits] for found in ids for digits in (DIGITS, SHOWN_ID))
        return next((files[name] for name in names if name in files), None)

    def _with_earlier(self, letter: Letter) -> tuple[Letter, Sequence[Letter]]:
        """A new letter as one with those that earlier versions of this service stored; and these."""
        earlier = self._earlier.pop(letter.id, ()) if version_of(letter.record) else ()
        if not earlier:
            return letter, ()
        first = min(each.time for each in earlier)
        return replace(letter, time=first, last_seen=letter.time, times=len(earlier) + 1), earlier

    @cached_property
    def _earlier(self) -> dict[str, Sequence[Letter]]:
        """The letters that earlier versions of this service stored, by the id that they have today."""
        found: dict[str, list[Letter]] = {}
        for letter in letters_in(file for file in self._files() if len(file.id) == SHOWN_ID):
            found.setdefault(id_today(letter), []).append(letter)
        return dict(found)

    def _count_version(self, path: Path, record: Rejected | FailedWrite, now: datetime) -> None:
        """Count in the file `path` the version of its document that `record` has, unless it is known."""
        version = version_of(record.document)
        letter = read_letter(path) if version else None
        if isinstance(letter, Letter) and version_of(letter.record) != version:
            kept = bounded(record.document, self._max_record_bytes)
            self._write(path, replace(letter, record=kept, times=letter.times + 1, last_seen=now))

    def _path(self, letter: Letter | DamagedLetter) -> Path:
        if isinstance(letter, DamagedLetter):
            return letter.path
        return letter.path or self._path_of_new(letter)

    def _path_of_new(self, letter: Letter) -> Path:
        tag = f"{Owner.parse(letter.owner).tag}_" if letter.owner else ""
        name = f"{self._prefix}_{letter.time:%Y%m%d_%H%M%S}_{tag}{letter.id[:DIGITS]}.json"
        return self.directory / name

    def _write(self, path: Path, letter: Letter) -> None:
        # `store` syncs the folder once for all letters.
        write_atomically(path, as_text(letter).encode("utf-8", "backslashreplace"), sync_name=False)


def in_parallel(work: Callable[[T], object], items: Iterable[T]) -> None:
    """Call `work` with each item; some at once where they are many."""
    some = list(items)
    if len(some) <= _AT_ONCE:
        for item in some:
            work(item)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in pool.map(work, some):
            pass
