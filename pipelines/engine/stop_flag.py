"""How a run is asked to stop: a flag that signals set."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from checkpoint.lock import is_taken
from surroundings.signal_flag import SignalFlag

_LOOK_SECONDS = 0.5


class StopFlag:
    """Set by SIGINT or SIGTERM; a second signal takes the default course and ends the process.

    It also counts as set once another process took the checkpoint, or another folder that this one holds.
    `by_signal` tells whether a signal has set it, not the program itself.
    """

    def __init__(self) -> None:
        self._flag = SignalFlag()
        self.by_signal = False

    def __call__(self) -> bool:
        return self._flag.is_set() or is_taken()

    def set(self) -> None:
        """Ask to stop after the current piece."""
        self._flag.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until it is set; whether it is."""
        ends = time.monotonic() + seconds
        while not self() and (left := ends - time.monotonic()) > 0:
            self._flag.wait(min(left, _LOOK_SECONDS))
        return self()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to signals inside the block. Enter it after Spark has started: Spark replaces SIGINT."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.getsignal(number) for number in numbers}

        def stop(number: int, _frame: Any) -> None:
            self.by_signal = True
            self.set()
            signal.signal(number, signal.SIG_DFL)

        for number in numbers:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
