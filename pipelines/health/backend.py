"""The backend's side of a run: sends the notices, counts them and says when they fail."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pydantic import SecretStr
from pymongo.collection import Collection

from monitoring.health.backend_metrics import NoticeMetrics
from monitoring.logs import get_logger
from monitoring.metrics import Metrics
from sinks.health.backend_client import TIMEOUT_SECONDS, BackendClient, shown_to_proxy
from sinks.health.backend_notices import MAX_WAITING_USERS, BackendNotices
from sinks.health.circuit_breaker import CircuitBreaker

# The end of a run waits at most this long for notices: a stream was asked to stop, a one-shot run has time.
STREAM_FLUSH_SECONDS = 5.0
ONE_SHOT_FLUSH_SECONDS = 30.0

_GO_ON = "Batches go on; clients see the new analytics when they next load them"
_WARNINGS = {
    "unauthorized": f"The backend refuses SERVICE_TOKEN (401 or 403): give both the same one. {_GO_ON}",
    "not_found": f"The backend has no /events/emit (404): check BACKEND_API_URL. {_GO_ON}",
    "server_error": f"The backend answers notices with errors (5xx): its log says why. {_GO_ON}",
    "timeout": f"The backend does not answer notices within {TIMEOUT_SECONDS:g} s. {_GO_ON}",
    "unreachable": f"The backend cannot be reached at BACKEND_API_URL. {_GO_ON}",
    "unexpected_answer": f"What answers at BACKEND_API_URL is not the backend. {_GO_ON}",
    "bad_request": "The backend refused a notice as malformed (400): its version may not fit this one's",
    "not_encodable": "Stored analytics hold a value that no notice can carry",
    "database_error": "Analytics could not be read for a notice",
    "queue_full": f"More than {MAX_WAITING_USERS} users wait for their notices: the oldest are dropped",
}
# These concern single notices and are logged once a run; the others again after notices got through.
_ONCE = {"bad_request", "not_encodable", "database_error"}

logger = get_logger(__name__)


class Backend:
    """Notices to the backend at `url`, at most `per_second`; without a `token` it does nothing."""

    def __init__(
        self,
        url: str,
        token: SecretStr,
        per_second: float,
        analytics: Collection[dict[str, Any]],
        metrics: Metrics,
    ) -> None:
        self._counts: Counter[str] = Counter()
        self._notified = 0
        self._warned: set[str] = set()
        self._metrics = metrics
        self._notices: BackendNotices | None = None
        if token.get_secret_value():
            self._measured = NoticeMetrics(metrics)
            self._breaker, closing = CircuitBreaker(), threading.Event()
            if shown := shown_to_proxy(url):
                logger.warning(shown)
            client = BackendClient(url, token, self._breaker, closing)
            self._notices = BackendNotices(analytics, client, self._breaker, closing, per_second, self._note)
            metrics.add_probe(self._show)
            self._notices.start()

    def publish(self, users: Sequence[ObjectId], calculated_at: datetime) -> None:
        """Queue a notice for each of `users`, with analytics of `calculated_at`; never waits or raises."""
        if self._notices is not None:
            self._notices.publish(users, calculated_at)

    def close(self, seconds: float) -> None:
        """Send what still waits, for at most `seconds`; a second call does nothing."""
        if self._notices is not None:
            self._notices.close(seconds)
            self._metrics.write()

    def status(self) -> dict[str, Any]:
        """The fields that `/health/detailed` shows."""
        if self._notices is None:
            return {"enabled": False}
        return {
            "enabled": True,
            "circuit": "open" if self._breaker.is_open else "closed",
            "users_waiting": self._notices.waiting,
            "outcomes": dict(self._counts),
            "connections_notified": self._notified,
        }

    def summary(self) -> str | None:
        """One line for the end of a session; None without notices."""
        if not self._counts:
            return None
        counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self._counts.items()))
        return f"📣 Backend notices: {counted}; {self._notified} open connections reached"

    def _show(self) -> None:
        if self._notices is not None:
            self._measured.show(self._notices.waiting, self._breaker.is_open)

    def _note(self, outcome: str, amount: int, notified: int) -> None:
        self._counts[outcome] += amount
        self._notified += notified
        self._measured.count(outcome, amount, notified)
        # Also here, so that /metrics is not a whole interval late.
        self._show()
        if outcome == "sent":
            if self._warned - _ONCE:
                logger.info("The backend takes notices again")
            self._warned &= _ONCE
        elif outcome in _WARNINGS and outcome not in self._warned:
            self._warned.add(outcome)
            logger.warning(f"{_WARNINGS[outcome]}.")
