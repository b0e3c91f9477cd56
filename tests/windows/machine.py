"""Windows' own Python in Wine, started as a person would start it: with a pipe, or in a console."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PYTHON = r"C:\Python311\python.exe"
# Spark's start takes a minute there, and twice that on a busy machine.
_SECONDS = 900
_READ_BYTES = 65_536
# Windows' own in Western Europe, and what Python writes to a pipe there.
CODE_PAGE = "cp1252"


@dataclass(frozen=True, slots=True)
class Ended:
    """What a program said, and how it ended."""

    code: int
    out: str
    errors: str

    @property
    def text(self) -> str:
        """All of it."""
        return self.out + self.errors


@dataclass(frozen=True, slots=True)
class Machine:
    """The Debian folder `root` with Wine's `prefix` in it; `variables` are env's arguments for a program."""

    root: Path
    prefix: str
    variables: Sequence[str]

    @property
    def drive(self) -> Path:
        """Drive C."""
        return Path(f"{self.root}{self.prefix}/drive_c")

    @property
    def temporary(self) -> Path:
        """The user's %TEMP%."""
        return self.drive / "users/root/AppData/Local/Temp"

    def run(self, folder: str, *arguments: str, **variables: str) -> Ended:
        """Run Python in a folder of drive C to its end; its input is a pipe, as its outputs are."""
        command = self._command(folder, arguments, variables)
        run = subprocess.run(command, input=b"", capture_output=True, timeout=_SECONDS, check=False)
        return Ended(run.returncode, *(_text(one) for one in (run.stdout, run.stderr)))

    def in_console(self, folder: str, *arguments: str, until: str, keys: bytes, **variables: str) -> Ended:
        """Run Python in a console, and press `keys` once it has said `until`."""
        own, theirs = pty.openpty()
        command = self._command(folder, arguments, variables)
        process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        try:
            said = _read(own, lambda text: until in text)
            if until in said:
                os.write(own, keys)
            said += _read(own, lambda _: False)
            return Ended(process.wait(_SECONDS), said, "")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(own)

    def _command(self, folder: str, arguments: Sequence[str], variables: Mapping[str, str]) -> list[str]:
        given = [*self.variables, *(f"{name}={value}" for name, value in variables.items())]
        place = f"{self.prefix}/drive_c/{folder}"
        return ["chroot", str(self.root), "env", "-C", place, *given, "wine", PYTHON, *arguments]


def _text(said: bytes) -> str:
    return said.decode(CODE_PAGE, "replace").replace("\r\n", "\n")


def _read(terminal: int, enough: Callable[[str], bool]) -> str:
    said, ends = b"", time.monotonic() + _SECONDS
    with suppress(OSError):  # nobody has the other end any more
        while time.monotonic() < ends and not enough(said.decode("utf-8", "replace")):
            if not (read := os.read(terminal, _READ_BYTES)):
                break
            said += read
    return said.decode("utf-8", "replace")
