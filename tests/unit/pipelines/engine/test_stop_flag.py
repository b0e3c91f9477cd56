"""The stop flag: what signals do to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.engine.stop_flag import StopFlag

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_only_sets_the_flag_and_handlers_come_back(number: signal.Signals) -> None:
    """A piece of work goes on; after the block the process behaves as before."""
    before = signal.getsignal(number)
    stop = StopFlag()
    with stop.on_signals():
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_the_process() -> None:
    """Somebody who presses Ctrl+C twice does not want to wait."""
    code = (
        "import os, signal\nfrom pipelines.engine.stop_flag import StopFlag\n"
        "with StopFlag().on_signals():\n    for _ in range(2): os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGTERM
    assert "still here" not in run.stdout


_AT_EACH_LINE = """
import os, signal, sys
from pipelines.engine.stop_flag import StopFlag
from simulation.program import stop_on_signals

def interrupt(wait, line):
    def trace(frame, event, _):
        nonlocal line
        line -= event == "line"
        if line == 0 and event == "line":
            os.kill(os.getpid(), signal.SIGTERM)
        return trace
    sys.settrace(trace)
    wait(0.15)
    sys.settrace(None)

for line in range(1, 40):
    flag = StopFlag()
    with flag.on_signals():
        interrupt(flag.wait, line)
    interrupt(stop_on_signals().wait, line)
print("came to its end")
"""


def test_a_signal_at_any_line_of_a_wait_holds_nobody_up() -> None:
    """The handler runs in the thread that waits: what this holds, the handler must not ask for."""
    run = subprocess.run(
        [sys.executable, "-c", _AT_EACH_LINE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.stdout == "came to its end\n", run.stderr
