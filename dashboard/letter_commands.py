"""Runs `dlq retry` and `dlq purge` of one letter beside the pages, one at a time, and leaves a trace."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from monitoring.act_log import ActLog
from told import own_process

Act = Literal["retry", "purge"]
# A retry starts Spark; told to stop it finishes the piece at work.
_SECONDS: Final = 300.0
_END_SECONDS: Final = 30.0
# Of what it printed, the last.
_SHOWN_BYTES: Final = 8_000


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (None: it did not begin), and its last words or why it did not."""

    code: int | None
    output: str


Run = Callable[[Sequence[str]], Ended]


def run_command(words: Sequence[str]) -> Ended:
    """Run the program with `words`, for at most five minutes."""
    command = own_process(*words)
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        late = ""
        try:
            child.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            late = f"\nIt was ended after {_SECONDS:.0f} seconds."
            _end(child)
        output.seek(max(0, output.seek(0, 2) - _SHOWN_BYTES))
        return Ended(child.returncode, output.read().decode("utf-8", "replace").strip() + late)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


class LetterCommands:
    """What may be done with a letter; the log of acts has a line before and one after."""

    def __init__(self, acts: ActLog, run: Run = run_command) -> None:
        self._acts = acts
        self._run = run
        self._busy = threading.Lock()

    def act(self, who: str, act: Act, pipeline: str, letter: str) -> Ended:
        """Retry or purge `letter`; not while another one is at work, or where no trace can be left."""
        if not self._busy.acquire(blocking=False):
            return Ended(None, "Another letter is at work. Try again when that has ended.")
        try:
            self._acts.write(who, act, pipeline, letter, "asked")
            sure = ["--yes"] if act == "purge" else []
            ended = self._run([pipeline, "dlq", act, letter, *sure])
            self._acts.write(who, act, pipeline, letter, f"exit code {ended.code}")
        except OSError as error:
            # Nothing is done that cannot be written down.
            return Ended(
                None, f"The log of acts cannot be written, or the command not started ({error.strerror})."
            )
        else:
            return ended
        finally:
            self._busy.release()


def told_end(act: Act, ended: Ended) -> str:
    """How it ended, in a sentence."""
    if ended.code is None:
        return ended.output
    done = "The letter was tried again" if act == "retry" else "The letter was removed"
    return f"{done}." if ended.code == 0 else f"The command ended with exit code {ended.code}; it says why."
