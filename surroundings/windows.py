"""What is otherwise on Windows: batch files start Spark's Java, and streams need Hadoop's winutils."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from contracts import ConfigurationError
from told import told

# subprocess has the name on Windows only.
_NEW_PROCESS_GROUP = 0x200
_PREFIX = "spark-run-"


def is_windows() -> bool:
    """Whether this is Windows; in one place, for the tests."""
    return sys.platform == "win32"


def remedy(usual: str, on_windows: str) -> str:
    """The remedy for this system."""
    return on_windows if is_windows() else usual


def require_streams() -> None:
    """Raise ConfigurationError with the ways out where Spark cannot keep the checkpoint of a stream."""
    home = os.environ.get("HADOOP_HOME")
    if is_windows() and not (home and Path(home, "bin", "winutils.exe").is_file()):
        raise ConfigurationError(
            "Spark's streams do not run on Windows: their checkpoints need Hadoop's winutils.exe. Let the "
            f"task scheduler run `{told('batch')}`, or run the stream in WSL2 (docs/windows.md)."
        )


def shielded(options: Mapping[str, Any]) -> dict[str, Any]:
    """Popen's `options` for a Java that Ctrl+C does not reach, with its own folder for temporary files.

    The folder is the environment's TMP, for `remove_folder`: what Java has loaded it cannot remove.
    """
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    environment = {**options["env"], "TMP": folder, "TEMP": folder}
    return {**options, "env": environment, "creationflags": _NEW_PROCESS_GROUP}


def end_tree(pid: int) -> None:
    """End the batch file with this number and the Java below it, without a word."""
    with suppress(OSError):
        command, silent = ["taskkill", "/f", "/t", "/pid", str(pid)], subprocess.DEVNULL
        subprocess.run(command, stdin=silent, stdout=silent, stderr=silent, check=False)


def remove_folder(environment: Mapping[str, str]) -> None:
    """Remove the folder that `shielded` made for this environment."""
    folder = Path(environment["TMP"])
    if folder.name.startswith(_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
