"""The files of a folder of letters by their names: listed once, and again only after the folder changed."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from contracts import DeadLetterError

# What a name tells of a letter's id; and so much of it tells one letter from another.
SHOWN_ID = 12
# The time, the owner's tag, and the beginning of the id; letters of earlier versions have no tag.
_NAME = re.compile(r"_(\d{8}_\d{6})_(?:([0-9a-f]{8})_)?[0-9a-f]+\.json$")
# File systems tell the time of a change in steps of up to two seconds.
_COARSEST_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class LetterFile:
    """A file that should hold a letter; `tag` is its owner's, `id` the beginning of the letter's id.

    A person may have given it a name that tells neither.
    """

    path: Path
    id: str
    tag: str | None

    @classmethod
    def of(cls, path: Path) -> LetterFile:
        """Make it of the file `path`, by its name."""
        found = _NAME.search(path.name)
        return cls(path, path.stem.rpartition("_")[2], found[2] if found else None)

    @property
    def is_renamed(self) -> bool:
        """Whether a person gave it a name of another form."""
        return _NAME.search(self.path.name) is None

    @property
    def time(self) -> datetime | None:
        """The time in the name; None where a person gave it a name without one."""
        found = _NAME.search(self.path.name)
        try:
            return datetime.strptime(f"{found[1]}+0000", "%Y%m%d_%H%M%S%z") if found else None
        except ValueError:
            return None


class LetterFolder:
    """The files of one pipeline's letters, whoever's they are; streams may share it."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self.directory = directory
        self._prefix = f"{prefix}_"
        # When the folder had changed last at the listing, None where that does not count, and what was there.
        self._listed: tuple[int | None, Sequence[LetterFile]] = (None, ())

    def files(self) -> Sequence[LetterFile]:
        """All files by name, so the oldest first; none without a folder. Raises DeadLetterError.

        Links and files of other names are none of ours.
        """
        try:
            changed = self.directory.stat().st_mtime_ns
            settled = abs(time.time_ns() - changed) > _COARSEST_NS
            at, files = self._listed
            if not settled or changed != at:
                files = self._list()
                # What changes later within the same step of time would never be seen.
                self._listed = changed if settled else None, files
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreadable(error) from error
        return files

    def leftovers(self) -> Sequence[Path]:
        """What a crash left of a letter that was being written. Raises DeadLetterError."""
        return sorted(self.directory.glob(f".{self._prefix}*.tmp")) if self.is_there() else ()

    def is_there(self) -> bool:
        """Whether there is a folder. Raises DeadLetterError where it cannot be read."""
        self.files()
        return self.directory.exists()

    def _list(self) -> Sequence[LetterFile]:
        with os.scandir(self.directory) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.name.startswith(self._prefix)
                and entry.name.endswith(".json")
                and entry.is_file(follow_symlinks=False)
            ]
        return [LetterFile.of(self.directory / name) for name in sorted(names)]

    def _unreadable(self, error: OSError) -> DeadLetterError:
        return DeadLetterError(
            f"The folder of the dead letters, {self.directory}, cannot be read ({error.strerror}). "
            "Make it readable for this user, or correct DLQ_DIRECTORY."
        )
