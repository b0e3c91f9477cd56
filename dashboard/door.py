"""Lets in who knows the password, which cannot be guessed by trying."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

_TRIES: Final = 5
# A proxy stands for many people; but who reaches the page without it can invent as many of them.
_TRIES_OF_A_PROXY: Final = 100
_PAUSE_SECONDS: Final = 30.0
_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class _Guesser:
    wrong: int = 0
    closed_until: float = float("-inf")


class Door:
    """Compares with the password in constant time; after 5 wrong ones in a row it stays shut for 30 s.

    It is shut for whom they came from, and for nobody else.
    """

    def __init__(self, password: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._expected = _digest(password)
        self._monotonic = monotonic
        self._guessers: OrderedDict[tuple[str, str | None], _Guesser] = OrderedDict()
        self._lock = threading.Lock()

    def refusal(self, given: str, address: str = "", behind: str = "") -> str | None:
        """Returns one sentence why `given` does not open the door; None when it does.

        It comes from `address`, a proxy's where the guesser is `behind` it.
        """
        with self._lock:
            now, guessers = self._monotonic(), list(self._of(address, behind))
            left = max(guesser.closed_until for guesser, _ in guessers) - now
            if left > 0:
                return f"Too many wrong passwords. Try again in {left + 1:.0f} seconds."
            if hmac.compare_digest(_digest(given), self._expected):
                guessers[0][0].wrong = 0
                return None
            for guesser, tries in guessers:
                guesser.wrong += 1
                if guesser.wrong % tries == 0:
                    guesser.closed_until = now + _PAUSE_SECONDS
            return "The password is wrong."

    def _of(self, address: str, behind: str) -> Iterator[tuple[_Guesser, int]]:
        """Who is asking, and the proxy; each with the tries that he has."""
        keys: list[tuple[tuple[str, str | None], int]] = [((address, behind), _TRIES)]
        if behind:
            keys.append(((address, None), _TRIES_OF_A_PROXY))
        for key, tries in keys:
            guesser = self._guessers.setdefault(key, _Guesser())
            self._guessers.move_to_end(key)
            yield guesser, tries
        while len(self._guessers) > _REMEMBERED:
            self._guessers.popitem(last=False)


def _digest(password: str) -> bytes:
    # Of equal length, so that the comparison does not tell the password's.
    return hashlib.sha256(password.encode("utf-8", "replace")).digest()
