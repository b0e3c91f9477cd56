"""One process to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
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
        _held.append(one)
        locks.callback(_held.remove, one)
        yield


def hold_again() -> list[str]:
    """Hold anew what was removed under this process, and return one sentence about each such folder.

    Raises AlreadyRunningError when another process took the place of the removed folder.
    """
    return [sentence for one in _held if (sentence := one.again())]


@dataclass(eq=False)
class _Held:
    """A folder that this process holds; `_file` tells its lock from one that was made since."""

    directory: Path
    what: str
    locks: ExitStack
    _file: tuple[int, int] | None = field(default=None)

    def acquire(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.locks.enter_context(FileLock(str(self.directory / LOCK_NAME), timeout=0, mode=0o600))
        self._file = self._there()

    def again(self) -> str | None:
        try:
            if self._there() == self._file:
                return None
            self.acquire()
        except Timeout:
            raise AlreadyRunningError(
                f"The {self.what} {self.directory} was removed while this process ran, and another process "
                "holds it now. Nothing is lost; it goes on there. Run only one."
            ) from None
        except OSError:
            # A disk that is away: whoever writes there tells.
            return None
        return f"The {self.what} {self.directory} was removed while this process ran; it is held anew"

    def _there(self) -> tuple[int, int] | None:
        with suppress(FileNotFoundError):
            found = (self.directory / LOCK_NAME).stat()
            return found.st_dev, found.st_ino
        return None


_held: list[_Held] = []
