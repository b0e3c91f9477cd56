"""A small file system of its own that a test can fill up and free again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIZE = 256 * 1024
_CHUNK = 4096


class SmallDisk:
    """A mounted tmpfs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Until not one more byte can be written."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * _CHUNK)
            except OSError:
                pass

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink()


@contextmanager
def mounted(folder: Path, size: int = _SIZE) -> Iterator[SmallDisk]:
    """Mount one of `size` bytes at `folder`, a new one. Raises PermissionError where that is not allowed."""
    folder.mkdir(parents=True)
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    run = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if run.returncode:
        raise PermissionError(run.stderr.strip())
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
