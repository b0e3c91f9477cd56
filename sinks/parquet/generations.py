"""A dataset folder that can be replaced as a whole: a link to its newest generation.

```text
<output>/matches -> .generations/matches/000002
<output>/.generations/matches/000001      the one before, kept for a while for those who still read it
<output>/.generations/matches/000002/batch=…
```

Replacing a link is atomic. Whoever resolves it once (`os.path.realpath`) and reads below what comes out sees
one generation from the first file to the last; no order of renames could promise that to a reader who walks
down a folder by path while it changes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from contracts import AlreadyRunningError, ConfigurationError
from durable import make_folder, sync_folder

_FOLDER = ".generations"
_BUILDING = ".building"


class Generations:
    """The generations of the dataset `name` below `output`."""

    def __init__(self, output: Path, name: str) -> None:
        self.path = output / name
        self._folder = output / _FOLDER / name

    def ensure(self) -> None:
        """Make the first generation and the link, unless they are there.

        Raises ConfigurationError when something else has the dataset's name.
        """
        if self.path.is_symlink():
            return
        if self.path.exists():
            raise ConfigurationError(
                f"{self.path} is a folder, not the link to a generation that it has to be. Move it away, "
                "or set ESPORTS_OUTPUT_PATH or STOCK_COLD_PATH to a new folder."
            )
        first = self._folder / "000001"
        make_folder(first)
        sync_folder(first)
        self._link(first)

    def current(self) -> Path:
        """The newest generation's own path, which stays valid for a while after the next one replaces it."""
        return self.path.resolve()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep the link as it is, and other processes from adding a batch, inside the block; be brief."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".changing.lock", mode=0o600):
            yield

    @contextmanager
    def compacting(self) -> Iterator[None]:
        """Be the only process that makes a next generation. Raises AlreadyRunningError unless it is."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / ".compacting.lock", timeout=0, mode=0o600):
                # A process that was killed left it behind.
                shutil.rmtree(self._folder / _BUILDING, ignore_errors=True)
                yield
        except Timeout:
            raise AlreadyRunningError(
                f"{self.path} is being compacted already; wait until that ends."
            ) from None

    @contextmanager
    def building(self) -> Iterator[Path]:
        """Make an empty folder for the next generation, while `compacting`; remove it after the block."""
        folder = self._folder / _BUILDING
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def replace(self, complete: Path) -> Path:
        """Make the folder `complete` (durable, on the same disk) the newest generation; its path."""
        newest = max(int(folder.name) for folder in self._all())
        target = self._folder / f"{newest + 1:06d}"
        # From now on it counts how long the one before is kept.
        os.utime(self.current())
        complete.rename(target)
        sync_folder(self._folder)
        self._link(target)
        return target

    def remove_old(self, keep_seconds: float) -> int:
        """Remove generations replaced, or left unused, at least `keep_seconds` ago; returns how many."""
        current = self.current()
        removed = 0
        for folder in self._all():
            if folder != current and time.time() - folder.stat().st_mtime >= keep_seconds:
                shutil.rmtree(folder)
                removed += 1
        return removed

    def _all(self) -> list[Path]:
        return sorted(folder.resolve() for folder in self._folder.iterdir() if folder.name.isdigit())

    def _link(self, target: Path) -> None:
        temporary = self._folder / ".link"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(target, self.path.parent))
        temporary.replace(self.path)
        sync_folder(self.path.parent)
