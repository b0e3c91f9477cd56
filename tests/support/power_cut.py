"""What a power cut would leave: files and folders as they were when they were last synced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


class Disk:
    """Watches every fsync of this process from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._synced: dict[int, object] = {}
        fsync = os.fsync

        def note(descriptor: int) -> None:
            fsync(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").resolve()
            self._synced[path.stat().st_ino] = _content(path)

        monkeypatch.setattr(os, "fsync", note)

    def lost(self, path: Path, root: Path) -> list[str]:
        """What of `path`, all below it, and the folders from there up to `root` a power cut could change."""
        above = [folder for folder in path.parents if folder.is_relative_to(root)]
        below = [] if path.is_symlink() else list(path.rglob("*"))
        found = [file for file in [*below, path] if not file.is_symlink() and not self._is_safe(file)]
        # Of a folder above only the way down counts.
        way = [path, *above[:-1]]
        found += [each for each in way if each.name not in self._names(each.parent)]
        return sorted({str(file.relative_to(root)) for file in found})

    def _is_safe(self, path: Path) -> bool:
        return self._synced.get(path.stat().st_ino) == _content(path)

    def _names(self, folder: Path) -> dict[str, int]:
        names = self._synced.get(folder.stat().st_ino, {})
        assert isinstance(names, dict)
        return {name: inode for name, inode in names.items() if (folder / name).lstat().st_ino == inode}


def _content(path: Path) -> object:
    """A folder's is the names in it, with what they stand for."""
    if path.is_dir():
        return {entry.name: entry.lstat().st_ino for entry in path.iterdir()}
    return path.read_bytes()
