"""One process to a folder, also when the folder is removed under it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from checkpoint.lock import hold, is_taken
from contracts import AlreadyRunningError
from pipelines.engine.stop_flag import StopFlag
from tests.support.waiting import wait_for

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
    with hold(folder), capture_logs() as told:
        for removed in (folder, folder / ".lock"):
            told.clear()
            if removed.is_dir():
                shutil.rmtree(removed)
            else:
                removed.unlink()
            wait_for(lambda: told, "the note")
            (line,) = told
            assert "was removed" in line["event"]
            assert _holder(folder).communicate()[0] == ""
            assert not StopFlag()()
    with hold(folder):
        pass


@pytest.mark.parametrize("comes_to_grief", [False, True])
def test_who_was_faster_holds_a_folder_that_was_removed(tmp_path: Path, comes_to_grief: bool) -> None:
    """The first finds out, is asked to stop, also in a pause, and ends with a sentence, whatever it met."""
    folder, stop = tmp_path / "checkpoint", StopFlag()

    def work() -> None:
        with hold(folder):
            shutil.rmtree(folder)
            others.append(_holder(folder))
            assert others[0].stdout is not None
            assert others[0].stdout.readline() == "held\n"
            # What is raised in here is not seen.
            asked.append(stop.wait(60))
            if comes_to_grief:
                raise FileNotFoundError(folder)

    others, asked = list[subprocess.Popen[str]](), list[bool]()
    try:
        with pytest.raises(AlreadyRunningError, match="removed while this process ran"):
            work()
    finally:
        others[0].communicate("")
    assert asked == [True]
    assert not stop.by_signal
    assert not is_taken()


def _holder(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(folder)],
        cwd=Path(__file__).parents[3],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
