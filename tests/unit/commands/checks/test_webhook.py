"""The webhook's row of `check`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from commands.checks import webhook
from settings import load
from sinks.health.notice_client import NoticeError
from sinks.health.webhook_client import WebhookClient

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
