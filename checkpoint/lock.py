"""One process to a folder, for as long as it works there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from contracts import AlreadyRunningError, ConfigurationError

# Like monitoring.logs.get_logger, which a part beside it does not know.
logger = structlog.get_logger(__name__)

LOCK_NAME = ".lock"
_LOOK_SECONDS = 0.5


@contextmanager
def hold(
    directory: Path, what: str = "checkpoint folder", setting: str = "CHECKPOINT_LOCATION"
) -> Iterator[None]:
    """Hold the folder's lock; the system releases it also when the process dies.

    `what` the folder is and the `setting` that names it are for the errors. While the block runs, a folder or
    lock that was removed is held anew, with a warning.

    Raises AlreadyRunningError when someone holds it, ConfigurationError when the folder cannot have one; at
    the end of the block AlreadyRunningError when another process took it meanwhile, which `is_taken` told.
    """
    with ExitStack() as locks:
        one = _Held(directory, what, locks)
        try:
            one.acquire()
        except Timeout:
            raise AlreadyRunningError(
                f"Another process is running on the {what} {directory}. Stop it first, or give this one a "
                f"folder of its own in {setting}."
            ) from None
        except (OSError, NotImplementedError) as error:
            raise ConfigurationError(
                f"The {what} {directory} cannot be locked ({error}). Set {setting} to a writable folder on a "
                "local disk."
            ) from error
        ended = threading.Event()
        watch = threading.Thread(target=one.watch, args=(ended,), name="lock", daemon=True)
        _held.append(one)
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()
            _held.remove(one)
            if one.taken is not None:
                # Also in place of what the work came to grief by: this is why.
                raise one.taken


def is_taken() -> bool:
    """Whether another process took a folder that this one holds, so that its work has to end."""
    return any(one.taken is not None for one in _held)


@dataclass(eq=False)
class _Held:
    """A folder that this process holds, and what tells that it is `taken`.

    `_file` tells its lock from one that was made since.
    """

    directory: Path
    what: str
    locks: ExitStack
    taken: AlreadyRunningError | None = field(default=None)
    _file: tuple[int, int] | None = field(default=None)

    def acquire(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.locks.enter_context(FileLock(str(self.directory / LOCK_NAME), timeout=0, mode=0o600))
        self._file = self._there()

    def watch(self, ended: threading.Event) -> None:
        while self.taken is None and not ended.wait(_LOOK_SECONDS):
            # A disk that is away: whoever writes there tells.
            with suppress(OSError):
                self._look()

    def _look(self) -> None:
        if self._there() == self._file:
            return
        was_removed = f"The {self.what} {self.directory} was removed while this process ran"
        try:
            self.acquire()
        except Timeout:
            self.taken = AlreadyRunningError(
                f"{was_removed}, and another process holds it now. Nothing is lost; it goes on there. Run "
                "only one."
            )
            return
        logger.warning(f"📂 {was_removed}; it is held anew")

    def _there(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            found = (self.directory / LOCK_NAME).stat()
            return found.st_dev, found.st_ino
        return None


_held: list[_Held] = []
