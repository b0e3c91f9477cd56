"""The check of the receiver that is told what is new."""

from __future__ import annotations

import json
import secrets
import threading
from datetime import datetime, timezone
from urllib.parse import urlsplit

from pymongo.errors import OperationFailure

from commands.checks.database import Database
from commands.checks.result import CheckResult, failed, ok, skipped, warning
from contracts.addresses import is_this_machine
from settings import Settings
from sinks.health.circuit_breaker import CircuitBreaker
from sinks.health.notice_client import NoticeError
from sinks.health.told_states import told_states
from sinks.health.webhook_client import WebhookClient
from sinks.mongo_errors import is_unauthorized

_NAME = "Webhook"
_AWAY = "Start the receiver, or correct NOTIFY_WEBHOOK_URL; meanwhile what is new waits, for three days."
_REMEDIES = {
    "unauthorized": "Give both sides the same NOTIFY_WEBHOOK_SECRET.",
    "not_found": "Correct NOTIFY_WEBHOOK_URL.",
    "bad_request": "Let the receiver answer 2xx to kinds that it does not know, such as `check`.",
    "timeout": _AWAY,
    "unreachable": _AWAY,
}


def takes_notices(settings: Settings) -> CheckResult:
    """Check that the receiver takes a signed notice, by one of the kind `check`, which is about nobody."""
    url = settings.notify_webhook_url.get_secret_value()
    if not url:
        return skipped(_NAME, "NOTIFY_WEBHOOK_URL is not set, so nobody is told what is new")
    # Set from the start: one try is enough here.
    closing = threading.Event()
    closing.set()
    secret = settings.notify_webhook_secret
    client = WebhookClient(settings.notify_webhook_url, secret, CircuitBreaker(), closing)
    # The path may be a secret too.
    host = urlsplit(url).hostname
    try:
        client.post(_notice())
    except NoticeError as error:
        remedy = _REMEDIES.get(error.reason, "See the receiver's log.")
        return warning(_NAME, f"{host}: {error.reason}", remedy)
    finally:
        client.close()
    found = f"{host} takes a signed notice"
    if url.lower().startswith("http://") and not is_this_machine(url):
        return warning(_NAME, found, "Use https: a notice tells of a person's health.")
    return ok(_NAME, found)


def can_be_noted(database: Database) -> CheckResult:
    """Check the rights on the collection that has what people were told."""
    states = told_states(database.target)
    name = f"Write {states.name}"
    if not (database.settings.notify_backend or database.settings.notify_webhook_url.get_secret_value()):
        return skipped(name, "nobody is told what is new")
    try:
        states.require_rights()
    except OperationFailure as error:
        reason = "not allowed" if is_unauthorized(error) else f"refused (code {error.code})"
        return failed(name, reason, "Grant the role healthAnalyticsTold of docs/security.md.")
    return ok(name, "find, update and createIndex allowed")


def backend_has_token(settings: Settings) -> CheckResult:
    """Check that NOTIFY_BACKEND, which is on, has a token to tell the backend with."""
    name = "NOTIFY_BACKEND"
    if settings.service_token.get_secret_value():
        return ok(name, "the backend is told too, with SERVICE_TOKEN")
    return failed(name, "there is no SERVICE_TOKEN", "Set SERVICE_TOKEN to the backend's own.")


def _notice() -> bytes:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = "A check of the connection."
    notice = {"id": secrets.token_hex(16), "kind": "check", "message": message, "foundAt": now}
    return json.dumps(notice).encode()
