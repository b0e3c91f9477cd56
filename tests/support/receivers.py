"""A receiver of notices that remembers what it took, and fails when it is told to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pipelines.health.telling.delivery import Receiver, webhook_body
from sinks.health.circuit_breaker import CircuitBreaker
from sinks.health.notice_client import NoticeError


class FakeReceiver:
    """`fails` gives the reason why the next body is not taken, empty if it is; a `lost` answer came too late.

    `took` has the bodies in their order, also those whose answer was lost.
    """

    def __init__(self, fails: Callable[[], str] = lambda: "") -> None:
        self.took: list[Mapping[str, Any]] = []
        self._fails = fails

    def post(self, body: bytes) -> None:
        """Take `body`, or raise."""
        reason = self._fails()
        if reason in ("", "lost"):
            self.took.append(json.loads(body))
        if reason:
            raise NoticeError("timeout" if reason == "lost" else reason)

    @property
    def ids(self) -> list[str]:
        """Of what it took."""
        return [str(one["id"]) for one in self.took]

    def as_receiver(self, name: str = "webhook") -> Receiver:
        """With a breaker that never opens: a test's time passes only where it says so."""
        return Receiver(name, self, CircuitBreaker(failures=10**9), webhook_body)
