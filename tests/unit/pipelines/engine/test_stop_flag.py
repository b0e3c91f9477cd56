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
