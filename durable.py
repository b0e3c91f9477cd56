"""Files that survive a crash whole, and a power cut where that is asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644
_REPLACE_ATTEMPTS = 10
_REPLACE_PAUSE_SECONDS = 0.05


def write_atomically(
    path: Path,
    content: bytes,
    may_replace: Callable[[], bool] = lambda: True,
    *,
    durable: bool = True,
    sync_name: bool = True,
    mode: int = PRIVATE,
) -> bool:
    """Write a hidden file beside `path` and rename it over `path`; False when `may_replace` said no.

    `may_replace` is asked as late as can be. Without `durable` nothing is synced: a crash of the process is
    survived, one of the machine perhaps not; without `sync_name` the content is synced and the folder is left
    to the caller. Raises OSError with `path` unchanged and nothing left beside it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # What lies there is of a crash, or a link that an attacker laid.
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb", opener=_private) as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        if mode != PRIVATE:
            temporary.chmod(mode)
        if not may_replace():
            return False
        replace(temporary, path, durable and sync_name)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def replace(source: Path, target: Path, durable: bool = True) -> None:
    """Rename over `target`; tried again while Windows says that another program has the target open.

    `durable` makes it survive a power cut.
    """
    for attempt in range(1, _REPLACE_ATTEMPTS + 1):
        try:
            source.replace(target)
            break
        except PermissionError:
            if attempt == _REPLACE_ATTEMPTS:
                raise
            time.sleep(_REPLACE_PAUSE_SECONDS)
    if durable:
        sync_folder(target.parent)


def read_file(path: Path) -> bytes:
    """Return what is in the file itself. Raises OSError where it is a link: a save would replace that."""
    with open(path, "rb", opener=_no_link) as stream:
        return stream.read()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def sync_file(path: Path) -> None:
    """Make the content of a file that is written survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it that are missing, and make their names survive a power cut."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Make new names and renames in `folder` survive a power cut; Windows neither offers nor needs it."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
