"""Finds files that were written again after they were read: Spark reads a name once."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sources.ecommerce.csv_files import offset_of_batch, path_of


class ChangedFiles:
    """The files of `folder`, and what Spark noted of them in `checkpoint`, the folder of the stream."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        # As Spark writes it.
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links must stay
        self._checkpoint = checkpoint
        self._offset = -1
        # By path: the time of its last change (ms) that Spark saw, and when Spark saw it (s).
        self._taken: dict[str, tuple[int, float]] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def look(self) -> list[str]:
        """The names of files that were changed after their batch began, each once a change.

        Only files of batches that ended. After a restart all of them are new. Raises OSError, and ValueError
        or LookupError when a note of Spark is none.
        """
        self._note_taken()
        with os.scandir(self._folder) as entries:
            return [entry.name for entry in entries if self._has_changed(entry)]

    def _has_changed(self, entry: os.DirEntry[str]) -> bool:
        path = str(self._folder / entry.name)
        if path not in self._taken:
            return False
        try:
            found = entry.stat()
        except OSError:
            return False
        state = (found.st_size, found.st_mtime_ns)
        before = self._seen.get(path)
        self._seen[path] = state
        if before is not None:
            return before != state
        modified, noted = self._taken[path]
        # A file that is moved here keeps the time of its last change. Before the batch began it was not read.
        moment = max(found.st_mtime, found.st_ctime)
        return found.st_mtime_ns // 1_000_000 != modified and moment > noted

    def _note_taken(self) -> None:
        ended = [int(file.name) for file in (self._checkpoint / "commits").glob("[0-9]*")]
        last = offset_of_batch(self._checkpoint, max(ended)) if ended else -1
        if last < self._offset:
            # A checkpoint that was begun anew.
            self._offset = -1
        if last <= self._offset:
            return
        taken: dict[str, tuple[int, float]] = {}
        for file in (self._checkpoint / "sources" / "0").glob("[0-9]*"):
            # One that ends in .compact has the notes of all before it too.
            if int(file.stem) <= self._offset:
                continue
            written = file.stat().st_mtime
            # The first line is a version.
            for line in file.read_text(encoding="utf-8").splitlines()[1:]:
                entry = json.loads(line)
                number, modified = entry["batchId"], int(entry["timestamp"])
                if self._offset < number <= last:
                    # When an old note was written is not known.
                    noted = written if number == int(file.stem) else modified / 1000
                    path = path_of(entry)
                    taken[path] = max((modified, noted), taken.get(path, (modified, noted)))
        self._taken.update(taken)
        self._offset = last
