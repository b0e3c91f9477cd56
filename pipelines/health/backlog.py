"""How much waits behind the pages of a drain."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.engine.due import Due
from sources.health.poll_page import PollPage

# To count costs as much as to read a page.
_COUNT_SECONDS = 30.0


class Backlog:
    """What waits in one drain: counted now and then, less what was read since."""

    def __init__(self, every_seconds: float = _COUNT_SECONDS) -> None:
        self._is_due = Due(every_seconds)
        self._waiting: int | None = None

    def after(self, page: PollPage, count: Callable[[], int | None]) -> int | None:
        """Returns how many documents wait behind `page`, by `count`; None when that is not known."""
        if page.complete:
            return 0
        if self._is_due():
            self._waiting = count()
        elif self._waiting is not None:
            self._waiting = max(0, self._waiting - page.size)
        return self._waiting
