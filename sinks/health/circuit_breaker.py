"""A circuit breaker: leaves a server alone for a while that has failed several times in a row.

Not pybreaker, the usual library: its open state ends by the wall clock, which may be set back, and it cannot
tell how long that takes, which a queue has to know to keep its entries meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Closed until `failures` in a row; then open for `open_seconds`, after which one probe decides.

    Only one thread may make calls; others may read `is_open`.
    """

    def __init__(
        self,
        failures: int = 5,
        open_seconds: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._open_seconds = open_seconds
        self._monotonic = monotonic
        self._in_a_row = 0
        self._probe_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the last of the calls left it open, also when the probe is due (half-open)."""
        return self._probe_at is not None

    def wait_seconds(self) -> float:
        """The seconds for which to leave the server alone; 0 when it is closed or a probe is due."""
        return 0.0 if self._probe_at is None else max(0.0, self._probe_at - self._monotonic())

    def succeeded(self) -> None:
        """The server did its work: close."""
        self._in_a_row = 0
        self._probe_at = None

    def failed(self) -> None:
        """The server did not: open at the limit, and again with every probe that fails."""
        self._in_a_row += 1
        if self._in_a_row >= self._limit:
            self._probe_at = self._monotonic() + self._open_seconds
