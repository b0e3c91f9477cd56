"""Folders that cannot be used for a while, also by root: a file stands in their place."""

from __future__ import annotations

from pathlib import Path


def take_away(folder: Path) -> None:
    """Put a file in the place of `folder`, which may not be there yet."""
    if folder.exists():
        folder.rename(_kept(folder))
    folder.write_text("in the way\n")


def give_back(folder: Path) -> None:
    """Undo `take_away`."""
    folder.unlink()
    if _kept(folder).exists():
        _kept(folder).rename(folder)


def _kept(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.kept")
