"""When something that is done now and then is due again."""

from __future__ import annotations

import time


class Due:
    """Says that the time has come: `after` seconds from now, and then every `every_seconds`."""

    def __init__(self, every_seconds: float, after: float = 0.0) -> None:
        self._every_seconds = every_seconds
        self._at = time.monotonic() + after

    def __call__(self) -> bool:
        """Whether the time has come; the next time is counted from this answer."""
        now = time.monotonic()
        if now < self._at:
            return False
        self._at = now + self._every_seconds
        return True
