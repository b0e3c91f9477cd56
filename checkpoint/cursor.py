"""The moment up to which changes were processed: one text file that people may read, edit or delete.

Beside it lies the generation before, for the day when the file is damaged. An edit by a person always wins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace as replace_fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from checkpoint.lock import hold
from checkpoint.store import ATTEMPTS, CursorState, checked, default_start
from checkpoint.timestamp_text import decode_timestamp, format_timestamp
from contracts import ConfigurationError, ServiceError
from durable import read_file, remove, replace, sync_folder, write_atomically

FILE_NAME = "last_processed_timestamp.txt"


class FileCursor:
    """The cursor in `directory`; absent means `default_days` ago."""

    def __init__(self, directory: str | Path, default_days: int = 30) -> None:
        self._directory = Path(directory)
        self._default_age = timedelta(days=default_days)
        self._file = self._directory / FILE_NAME
        self._previous = self._directory / f"{FILE_NAME}.previous"

    def lock(self) -> AbstractContextManager[None]:
        """Hold the folder. Raises AlreadyRunningError when another process does."""
        return hold(self._directory)

    def read(self, now: datetime) -> CursorState:
        """The position to go on from, never after `now`.

        Unreadable content is set aside as `*.corrupt-<time>` and the previous generation takes its place.
        Raises ConfigurationError when the file system refuses to read or replace the file.
        """
        return self._read(now, recover=True)

    def peek(self, now: datetime) -> CursorState:
        """What `read` would return; changes nothing. Raises ConfigurationError like it."""
        return self._read(now, recover=False)

    def _read(self, now: datetime, recover: bool) -> CursorState:
        try:
            raw = self._content(self._file)
            if raw is None:
                return CursorState(default_start(now, self._default_age), "default", None)
            try:
                timestamp = decode_timestamp(raw)
            except ValueError as error:
                if recover:
                    return self._recover(raw, str(error), now)
                return self._damaged(f"is unreadable ({error})", now)
            return checked(timestamp, self._previous_timestamp(), "file", raw, now)
        except OSError as error:
            raise ConfigurationError(
                f"The cursor file {self._file} cannot be read ({error.strerror or error}). Mend its "
                "permissions, or set CHECKPOINT_LOCATION to a folder of this user."
            ) from error

    def save(self, timestamp: datetime, expected: CursorState, now: datetime) -> CursorState | None:
        """Move on to `timestamp`, never back and never after `now`; None when a person changed the file.

        Pass as `expected` the result of the last `read` or `save`. Raises ServiceError when a file cannot
        be written; each is then as it was or whole and new.
        """
        target = max(min(timestamp, now), expected.timestamp)
        content = _encode(target)
        with self._writing():
            if content == expected.raw:
                return expected if self._content(self._file) == expected.raw else None
            self._directory.mkdir(parents=True, exist_ok=True)
            if not write_atomically(self._file, content, lambda: self._content(self._file) == expected.raw):
                return None
            # Before the first generation there is none, and the new one is better than 30 days ago.
            write_atomically(self._previous, content if expected.raw is None else _encode(expected.timestamp))
        return CursorState(decode_timestamp(content), "file", content)

    def set(self, timestamp: datetime, now: datetime) -> None:
        """Go on from `timestamp` (at most `now`), also if the file is damaged later: a person's order.

        Raises ServiceError when it cannot be written.
        """
        content = _encode(min(timestamp, now))
        with self._writing():
            self._directory.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, content)
            write_atomically(self._previous, content)

    def reset(self) -> None:
        """Forget the position, so that the next read is the default. Raises ServiceError when it cannot."""
        with self._writing():
            remove(self._file)
            remove(self._previous)
            if self._directory.is_dir():
                sync_folder(self._directory)

    def read_notes(self, topic: str = ATTEMPTS) -> dict[str, Any]:
        """Returns the notes on `topic` that `write_notes` stored last; empty without any or damaged ones."""
        try:
            notes = json.loads(read_file(self._directory / f"{topic}.json"))
        except (OSError, ValueError, RecursionError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def write_notes(self, notes: Mapping[str, Any], topic: str = ATTEMPTS) -> None:
        """Replace the notes on `topic` (JSON values only); empty `notes` remove them.

        They need not survive a power cut, so nothing waits for the disk. Raises ServiceError when they cannot
        be written.
        """
        file = self._directory / f"{topic}.json"
        with self._writing():
            if notes:
                self._directory.mkdir(parents=True, exist_ok=True)
                write_atomically(file, json.dumps(notes).encode(), durable=False)
            else:
                remove(file)

    def _recover(self, raw: bytes, reason: str, now: datetime) -> CursorState:
        aside = self._file_aside(now)
        state = self._damaged(f"was unreadable ({reason}) and is now {aside.name}", now)
        if self._content(self._file) != raw:
            return self.read(now)  # a person has just mended it
        if state.raw is None:
            replace(self._file, aside)
            return state
        # Copied, then replaced: at no moment is the file absent, which would mean "from the default".
        write_atomically(aside, raw)
        if not write_atomically(self._file, state.raw, lambda: self._content(self._file) == raw):
            return self.read(now)
        return state

    def _damaged(self, fault: str, now: datetime) -> CursorState:
        """The state that takes the place of an unreadable one."""
        fault = f"The cursor file {fault}"
        previous = self._previous_timestamp()
        if previous is None:
            start = default_start(now, self._default_age)
            warning = f"{fault}; without a valid previous generation, going on from {format_timestamp(start)}"
            return CursorState(start, "default", None, (warning,))
        warning = f"{fault}; going on from the previous generation, {format_timestamp(previous)}"
        state = checked(previous, previous, "previous", _encode(previous), now)
        return replace_fields(state, warnings=(warning, *state.warnings))

    def _file_aside(self, now: datetime) -> Path:
        stem = f"{FILE_NAME}.corrupt-{now:%Y%m%dT%H%M%S}"
        candidate, number = self._directory / stem, 1
        while candidate.exists():
            number += 1
            candidate = self._directory / f"{stem}-{number}"
        return candidate

    def _previous_timestamp(self) -> datetime | None:
        try:
            raw = self._content(self._previous)
            return None if raw is None else decode_timestamp(raw)
        except (OSError, ValueError):
            return None

    @staticmethod
    def _content(path: Path) -> bytes | None:
        try:
            return read_file(path)
        except FileNotFoundError:
            return None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            cause = error.strerror or error
            raise ServiceError(
                f"The checkpoint in {self._directory} could not be written ({cause}). Free space or mend the "
                "permissions of CHECKPOINT_LOCATION. Nothing is lost: the same changes come again."
            ) from error


def _encode(moment: datetime) -> bytes:
    return f"{format_timestamp(moment)}\n".encode("ascii")
