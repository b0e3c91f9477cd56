"""Files that survive a crash whole, and a power cut where that is asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

PRIVATE = 0o600
PUBLIC = 0o644
# Half a second. Elsewhere nobody's open file is in the way, and what is forbidden stays so.
_ATTEMPTS = 10 if os.name == "nt" else 1
_PAUSE_SECONDS = 0.05

T = TypeVar("T")


def patiently(act: Callable[[], T]) -> T:
    """Act, and again for a while as long as Windows says that another program has the file open."""
    left = _ATTEMPTS
    while True:
        left -= 1
        try:
            return act()
        except PermissionError:
            if left == 0:
                raise
        time.sleep(_PAUSE_SECONDS)


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
        remove(temporary)
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
        remove(temporary)
    return True


def replace(source: Path, target: Path, durable: bool = True) -> None:
    """Rename over `target`; `durable` makes it survive a power cut."""
    patiently(lambda: source.replace(target))
    if durable:
        sync_folder(target.parent)


def remove(path: Path) -> None:
    """Remove the file at `path` if there is one."""
    patiently(lambda: path.unlink(missing_ok=True))


def read_file(path: Path) -> bytes:
    """Return what is in the file itself. Raises OSError where it is a link: a save would replace that."""
    with patiently(lambda: open(path, "rb", opener=_no_link)) as stream:
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
