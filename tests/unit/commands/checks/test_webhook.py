"""The webhook's row of `check`."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from commands.checks import webhook
from commands.checks.database import Database
from settings import load
from sinks.health.notice_client import NoticeError
from sinks.health.told_states import ToldStates
from sinks.health.webhook_client import WebhookClient
from sources.mongo_client import connect

_URL = "https://me:hunter2@example.org/hooks/T0KEN"
_SECRET = "a-secret-of-the-webhook"  # noqa: S105


def _check(monkeypatch: pytest.MonkeyPatch, reason: str = "", url: str = _URL) -> tuple[Any, list[bytes]]:
    sent: list[bytes] = []

    def post(_client: Any, body: bytes) -> None:
        sent.append(body)
        if reason:
            raise NoticeError(reason)

    monkeypatch.setattr(WebhookClient, "post", post)
    settings = load(env_file=None, notify_webhook_url=url, notify_webhook_secret=_SECRET)
    return webhook.takes_notices(settings), sent


@pytest.mark.parametrize(
    ("reason", "url", "status"),
    [
        ("", _URL, "ok"),
        ("", _URL.replace("https", "http"), "warning"),
        ("", "http://localhost:8090", "ok"),
        ("unauthorized", _URL, "warning"),
        ("not_found", _URL, "warning"),
        ("bad_request", _URL, "warning"),
        ("unreachable", _URL, "warning"),
        ("unexpected_answer", _URL, "warning"),
    ],
)
def test_the_receiver_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, reason: str, url: str, status: str
) -> None:
    """By a notice about nobody; a fault holds nothing up, and what is secret in the address is not shown."""
    found, sent = _check(monkeypatch, reason, url)
    assert found.status == status
    assert bool(found.remedy) == (status == "warning")
    assert [json.loads(body)["kind"] for body in sent] == ["check"]
    assert "hunter2" not in str(found)
    assert "T0KEN" not in str(found)


def test_without_an_address_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is off."""
    found, sent = _check(monkeypatch, url="")
    assert (found.status, sent) == ("skipped", [])


@pytest.mark.parametrize(("token", "status"), [("", "failed"), ("a-token", "ok")])
def test_the_backend_needs_its_token(token: str, status: str) -> None:
    """Without one it would hear nothing."""
    settings = load(env_file=None, notify_backend=True, service_token=token)
    assert webhook.backend_has_token(settings).status == status


@pytest.mark.parametrize(
    ("url", "code", "status", "told"),
    [
        ("", None, "skipped", "nobody is told"),
        (_URL, None, "ok", "allowed"),
        (_URL, 13, "failed", "not allowed"),
        (_URL, 96, "failed", "refused (code 96)"),
    ],
)
def test_the_rights_to_note_what_was_told_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, url: str, code: int | None, status: str, told: str
) -> None:
    """Of a collection beside the results, which nothing is written to."""

    def ensure_indexes(_states: Any) -> None:
        if code:
            raise OperationFailure("no", code)

    monkeypatch.setattr(ToldStates, "ensure_indexes", ensure_indexes)
    uri = f"mongomock://{secrets.token_hex(8)}"
    settings = load(env_file=None, mongo_uri=uri, notify_webhook_url=url, notify_webhook_secret=_SECRET)
    found = webhook.can_be_noted(Database.open(settings))
    assert (found.name, found.status) == ("Write analytics_told", status)
    assert told in found.detail
    assert connect(uri)["health-metrics"]["analytics_told"].count_documents({}) == 0
