"""The files of the folder that were read, and what became of them since: Spark reads a name once."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sources.ecommerce.csv_files import offset_of_batch, path_of

# Size and time of the last change (ns).
State = tuple[int, int]
_NUMBER = re.compile(r'"batchId":([0-9]+)')


@dataclass(frozen=True)
class Looked:
    """Names of files whose batch ended: `changed` since, each once a change, and those that are as read."""

    changed: list[str] = field(default_factory=list)
    settled: dict[str, State] = field(default_factory=dict)


class ReadFiles:
    """The files of `folder`, and what Spark noted of them in `checkpoint`, the folder of the stream."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        # As Spark writes it.
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links must stay
        self._checkpoint = checkpoint
        self._of_query, self._offset = "", -1
        # By path: the time of its last change (ms) that Spark saw, and when Spark saw it (s).
        self._taken: dict[str, tuple[int, float]] = {}
        self._seen: dict[str, State] = {}

    @property
    def noted(self) -> int:
        """How many files Spark has noted as read, of which it forgets none."""
        return len(self._taken)

    def look(self) -> Looked:
        """What became of the files that were read.

        After a restart all of them are new. Raises OSError, and ValueError or LookupError when a note of
        Spark is none.
        """
        self._note_taken()
        found = Looked()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                self._judge(entry, found)
        return found

    def _judge(self, entry: os.DirEntry[str], found: Looked) -> None:
        path = str(self._folder / entry.name)
        if path not in self._taken:
            return
        try:
            there = entry.stat()
        except OSError:
            return
        state = (there.st_size, there.st_mtime_ns)
        before = self._seen.get(path)
        modified, noted = self._taken[path]
        # A file that is moved here keeps the time of its last change. Before the batch began it was not read.
        moment = max(there.st_mtime, there.st_ctime)
        is_as_read = there.st_mtime_ns // 1_000_000 == modified or moment <= noted
        self._seen[path] = state
        if before != state if before else not is_as_read:
            found.changed.append(entry.name)
        elif is_as_read:
            found.settled[entry.name] = state

    def _query(self) -> str:
        """What Spark calls the query of the checkpoint; empty before it began."""
        with suppress(FileNotFoundError):
            return (self._checkpoint / "metadata").read_text(encoding="utf-8", errors="replace")
        return ""

    def _note_taken(self) -> None:
        ended = [int(file.name) for file in (self._checkpoint / "commits").glob("[0-9]*")]
        last = offset_of_batch(self._checkpoint, max(ended)) if ended else -1
        if (query := self._query()) != self._of_query:
            # A checkpoint that was begun anew.
            self._of_query, self._offset = query, -1
            self._taken.clear()
        if last <= self._offset:
            return
        taken: dict[str, tuple[int, float]] = {}
        for file in (self._checkpoint / "sources" / "0").glob("[0-9]*"):
            # One that ends in .compact has the notes of all before it too.
            if int(file.stem) <= self._offset:
                continue
            written = file.stat().st_mtime
            # The first line is a version.
            for line in file.read_text(encoding="utf-8").split("\n")[1:]:
                number = int(found[1]) if (found := _NUMBER.search(line)) else -1
                if self._offset < number <= last:
                    entry = json.loads(line)
                    modified = int(entry["timestamp"])
                    # When an old note was written is not known.
                    noted = written if number == int(file.stem) else modified / 1000
                    path = path_of(entry)
                    taken[path] = max((modified, noted), taken.get(path, (modified, noted)))
        self._taken.update(taken)
        self._offset = last


def clear(folder: Path, name: str, state: State, archive: Path | None) -> bool:
    """Move the file `name` of `folder` below `archive`, or without one delete it; False where it changed.

    `state` is the one in which it was read. Raises OSError.
    """
    target = (archive or folder) / (name if archive else f".{name}.read")
    if archive:
        archive.mkdir(parents=True, exist_ok=True)
        number = 0
        while target.exists():
            number += 1
            target = archive / f"{name}.{number}"
    # Whoever changed it in this moment gets it back.
    (folder / name).rename(target)
    there = target.stat()
    if (there.st_size, there.st_mtime_ns) != state:
        target.rename(folder / name)
        return False
    if not archive:
        target.unlink()
    return True
