"""One process to a folder, also when the folder is removed under it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from checkpoint.lock import hold, hold_again
from contracts import AlreadyRunningError

_HOLDER = """
import sys
from pathlib import Path
from checkpoint.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_that_was_removed_is_held_anew(tmp_path: Path) -> None:
    """Told once, and each time it happens; what another process cannot hold is held."""
    folder = tmp_path / "checkpoint"
    with hold(folder):
        assert hold_again() == []
        for removed in (folder, folder / ".lock"):
            if removed.is_dir():
                shutil.rmtree(removed)
            else:
                removed.unlink()
            (sentence,) = hold_again()
            assert "was removed" in sentence
            assert hold_again() == []
            assert _holder(folder).communicate()[0] == ""
    assert hold_again() == []
    with hold(folder):
        pass


def test_who_was_faster_holds_a_folder_that_was_removed(tmp_path: Path) -> None:
    """The first finds out, and is refused."""
    folder = tmp_path / "checkpoint"
    with hold(folder):
        shutil.rmtree(folder)
        other = _holder(folder)
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(AlreadyRunningError, match="removed while this process ran"):
                hold_again()
        finally:
            other.communicate("")


def _holder(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)],
        cwd=Path(__file__).parents[3],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
