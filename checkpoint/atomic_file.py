"""Replacing a file so that a crash leaves the old content or the new, never a part of either."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from durable import sync_folder

_REPLACE_ATTEMPTS = 10
_REPLACE_PAUSE_SECONDS = 0.05


def write_atomically(
    path: Path, content: bytes, may_replace: Callable[[], bool] = lambda: True, durable: bool = True
) -> bool:
    """Write beside `path`, fsync, rename over it, fsync the folder; False when `may_replace` said no.

    The file has mode 0600. `may_replace` is asked as late as can be. Without `durable` nothing is synced: a
    crash of the process is survived, one of the machine perhaps not. Raises OSError with `path` unchanged and
    nothing left beside it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # A file in that place is left from a crash, or is a link of another user.
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb", opener=_private) as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        if not may_replace():
            return False
        replace(temporary, path, durable)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def read_file(path: Path) -> bytes:
    """Returns the content of the file `path`. Raises OSError for a link, which a save would replace."""
    with open(path, "rb", opener=_no_link) as stream:
        return stream.read()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def replace(source: Path, target: Path, durable: bool = True) -> None:
    """Rename over `target`; tried again while Windows says that someone has the target open.

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
