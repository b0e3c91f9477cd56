"""A flag that the handler of a signal may set."""

from __future__ import annotations

import time

_LOOK_SECONDS = 0.1


class SignalFlag:
    """Set once, from a handler of signals or any thread.

    A threading.Event must not be set there: the thread that the handler interrupts may hold its lock, and
    would wait for itself for ever.
    """

    def __init__(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it is."""
        return self._is_set

    def set(self) -> None:
        """Set it."""
        self._is_set = True

    def wait(self, seconds: float) -> bool:
        """Sleep, but hardly longer than until it is set; whether it is."""
        ends = time.monotonic() + seconds
        while not self._is_set and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))
        return self._is_set
