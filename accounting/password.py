"""Lets in who knows the password, which cannot be guessed by trying."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from typing import Final

_TRIES: Final = 5
_PAUSE_SECONDS: Final = 30.0


class Door:
    """Compares with the password in constant time; after 5 wrong ones in a row it stays shut for 30 s."""

    def __init__(self, password: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._expected = _digest(password)
        self._monotonic = monotonic
        self._wrong = 0
        self._closed_until = float("-inf")
        self._lock = threading.Lock()

    def refusal(self, given: str) -> str | None:
        """Returns one sentence why `given` does not open the door; None when it does."""
        with self._lock:
            left = self._closed_until - self._monotonic()
            if left > 0:
                return f"Too many wrong passwords. Try again in {left + 1:.0f} seconds."
            if hmac.compare_digest(_digest(given), self._expected):
                self._wrong = 0
                return None
            self._wrong += 1
            if self._wrong % _TRIES == 0:
                self._closed_until = self._monotonic() + _PAUSE_SECONDS
            return "The password is wrong."


def _digest(password: str) -> bytes:
    # Of equal length, so that the comparison does not tell the password's.
    return hashlib.sha256(password.encode("utf-8", "replace")).digest()
