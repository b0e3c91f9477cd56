"""The metrics file: replaced whole, and only by the deployment that owns it."""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path

from durable import PUBLIC, patiently, replace, write_atomically
from monitoring.logs import warn_stderr

_FOLDER_MODE = 0o755
# The first line of a file, a comment for Prometheus; files of earlier versions have none.
_OWNER_LINE = b"# Of "
_OWNER_LINE_BYTES = 1_000
# A stream writes far more often, so an older file is no longer in use.
IN_USE_SECONDS = 60.0


class MetricsFile:
    """The file at `path`, which belongs to the deployment `owner` (text; empty: to any).

    Two deployments may be given one METRICS_DIRECTORY, or one whose database was corrected: the counters of
    the one are not those of the other. While another's file is in use it is left alone, and this deployment
    has none; an older one is kept beside it for the day when its deployment comes back.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._owner = " ".join(owner.split())
        self._told = False

    def read(self) -> str | None:
        """Returns the last content of this deployment's; None without. Raises OSError, UnicodeDecodeError."""
        for path in (self._path, self._beside(self._owner)):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                if self._owner_in(path) in ("", self._owner):
                    return patiently(path.read_bytes).decode("utf-8")
        return None

    def write(self, content: bytes, durable: bool) -> None:
        """Replace the file unless it is another's and in use; `durable` syncs it. Raises OSError."""
        try:
            owner = self._owner_in(self._path)
            if owner not in ("", self._owner) and not self._make_way(owner):
                return
        except FileNotFoundError:
            pass
        first = _OWNER_LINE + self._owner.encode("utf-8", "backslashreplace") + b"\n" if self._owner else b""
        folder = self._path.parent
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(_FOLDER_MODE)
        # node_exporter runs as another user.
        write_atomically(self._path, first + content, durable=durable, sync_name=False, mode=PUBLIC)

    def _owner_in(self, path: Path) -> str:
        with patiently(lambda: path.open("rb")) as file:
            line = file.readline(_OWNER_LINE_BYTES)
        if not line.startswith(_OWNER_LINE):
            return ""
        return line[len(_OWNER_LINE) :].decode("utf-8", "replace").strip()

    def _make_way(self, owner: str) -> bool:
        """Set the file of `owner` aside unless it is in use."""
        name = owner.rpartition("@")[0] or owner
        if time.time() - self._path.stat().st_mtime < IN_USE_SECONDS:
            self._tell(
                f"{self._path} is the metrics file of {name}, which writes it now: this deployment's metrics "
                "are not in a file. Give each a METRICS_DIRECTORY of its own."
            )
            return False
        aside = self._beside(owner)
        replace(self._path, aside, durable=False)
        self._tell(f"{self._path} was the metrics file of {name} and is now {aside.name}.")
        return True

    def _tell(self, text: str) -> None:
        if not self._told:
            self._told = True
            warn_stderr(text)

    def _beside(self, owner: str) -> Path:
        """Returns the path of the file of `owner` while another uses the name; it does not end in `.prom`."""
        tag = hashlib.sha256(owner.encode("utf-8", "backslashreplace")).hexdigest()[:8]
        return self._path.with_name(f"{self._path.name}.of-{tag}")
