"""One process to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from contracts import AlreadyRunningError, ConfigurationError

LOCK_NAME = ".lock"


@contextmanager
def hold(
    directory: Path, what: str = "checkpoint folder", setting: str = "CHECKPOINT_LOCATION"
) -> Iterator[None]:
    """Hold the folder's lock; the system releases it also when the process dies.

    `what` the folder is and the `setting` that names it are for the errors.

    Raises AlreadyRunningError when someone holds it, ConfigurationError when the folder cannot have one.
    """
    lock = FileLock(str(directory / LOCK_NAME), timeout=0, mode=0o600)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise AlreadyRunningError(
            f"Another process is running on the {what} {directory}. Stop it first, or give this one a folder "
            f"of its own in {setting}."
        ) from None
    except (OSError, NotImplementedError) as error:
        raise ConfigurationError(
            f"The {what} {directory} cannot be locked ({error}). Set {setting} to a writable folder on a "
            "local disk."
        ) from error
    try:
        yield
    finally:
        lock.release()
