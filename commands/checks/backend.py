"""The check of the backend that gets notices of new results."""

from __future__ import annotations

import json
import secrets
import threading
from datetime import datetime, timezone

from bson import ObjectId

from commands.checks.result import CheckResult, failed, ok, skipped, warning
from contracts.iso_times import time_with_z
from settings import Settings
from sinks.health.backend_client import TIMEOUT_SECONDS, BackendClient, NoticeError, shown_to_proxy
from sinks.health.circuit_breaker import CircuitBreaker

_NAME = "Backend"
_AWAY = "Start the backend, or correct BACKEND_API_URL; meanwhile open pages see new results late."
# Settings that a person must mend; any other fault of the backend holds nothing up.
_WRONG_SETTINGS = ("unauthorized", "not_found")
_REMEDIES = {
    "unauthorized": "Set SERVICE_TOKEN to the backend's own.",
    "not_found": "Correct BACKEND_API_URL: below it must be events/emit.",
    "server_error": "See the backend's log; it answers so too when its own SERVICE_TOKEN is not set.",
    "timeout": _AWAY,
    "unreachable": _AWAY,
}


def answers(settings: Settings) -> CheckResult:
    """Check that the backend answers and takes the token, by a notice for a user who cannot exist.

    The backend answers with 0 notified connections and stores nothing.
    """
    if not settings.service_token.get_secret_value():
        return skipped(_NAME, "SERVICE_TOKEN is not set, so no notices are sent")
    # Set from the start: one try is enough here.
    closing = threading.Event()
    closing.set()
    client = BackendClient(
        settings.backend_api_url, settings.service_token, CircuitBreaker(), closing, TIMEOUT_SECONDS
    )
    try:
        client.send(_notice())
    except NoticeError as error:
        remedy = _REMEDIES.get(error.reason, "See the backend's log.")
        judge = failed if error.reason in _WRONG_SETTINGS else warning
        return judge(_NAME, f"{settings.backend_api_url}: {error.reason}", remedy)
    finally:
        client.close()
    found = f"{settings.backend_api_url} answers and takes the token"
    if shown := shown_to_proxy(settings.backend_api_url):
        return warning(_NAME, found, f"{shown}.")
    return ok(_NAME, found)


def _notice() -> bytes:
    # The id's first four bytes are its time: of 1970 no user can be.
    user = ObjectId(bytes(4) + secrets.token_bytes(8))
    now = time_with_z(datetime.now(timezone.utc))
    data = {"errorType": "check", "message": "A check of the connection.", "context": {}, "timestamp": now}
    return json.dumps({"userId": str(user), "eventType": "analytics:error", "data": data}).encode()
