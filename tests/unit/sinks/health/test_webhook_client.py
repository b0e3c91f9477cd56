"""Signed notices: the receiver of docs/told-once.md takes them, and nothing else."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from sinks.health.circuit_breaker import CircuitBreaker
from sinks.health.notice_client import NoticeError
from sinks.health.webhook_client import WebhookClient
from tests.support.documents import ROOT

SECRET = "a-secret-of-the-webhook"  # noqa: S105
BODY = json.dumps({"id": "1", "kind": "anomaly", "message": "walked 29,763 steps ✓"}).encode()


class _Server:
    """A server whose handler is of the documentation, or one that answers `status`; `headers` came last."""

    def __init__(self, handler: Any) -> None:
        self.server = HTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[_Server, dict[str, Any]]]:
    """The receiver that the documentation shows, as it stands there."""
    text = (ROOT / "docs" / "told-once.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.setenv("NOTIFY_WEBHOOK_SECRET", SECRET)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(code, "docs/told-once.md", "exec"), names)  # noqa: S102 - the page's own code
    names["Receiver"].log_message = lambda *_: None
    server = _Server(names["Receiver"])
    yield server, names
    server.server.shutdown()
    server.server.server_close()


def _client(address: str, secret: str = SECRET, **named: Any) -> WebhookClient:
    breaker, closing = CircuitBreaker(), threading.Event()
    closing.set()
    return WebhookClient(SecretStr(address), SecretStr(secret), breaker, closing, **named)


def _reason(client: WebhookClient, body: bytes = BODY) -> str:
    with pytest.raises(NoticeError) as caught:
        client.post(body)
    return caught.value.reason


def test_the_documented_receiver_takes_each_notice_once(
    receiver: tuple[_Server, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The second one with the same id is answered in the same way, and passed over."""
    server, names = receiver
    client = _client(server.address)
    client.post(BODY)
    client.post(BODY)
    assert names["SEEN"] == {"1"}
    assert capsys.readouterr().out == "anomaly walked 29,763 steps ✓\n"


def test_it_refuses_another_secret_and_what_was_recorded(receiver: tuple[_Server, dict[str, Any]]) -> None:
    """A signature is of the body and the time."""
    server, names = receiver
    assert _reason(_client(server.address, "another-secret-of-somebody")) == "unauthorized"
    assert _reason(_client(server.address, clock=lambda: 1_700_000_000.0)) == "unauthorized"
    seen: dict[str, str] = {}
    assert names["take"](seen, BODY) == 401
    seen = {"X-Notice-Timestamp": "1700000000", "X-Notice-Signature": "v1=é"}
    assert names["take"](seen, BODY) == 401
    assert names["SEEN"] == set()


def test_a_changed_body_has_another_signature(receiver: tuple[_Server, dict[str, Any]]) -> None:
    """By one byte, on its way."""
    server, names = receiver
    client = _client(server.address)
    signed = client._signed

    def changed(request: Any) -> Any:
        signed(request)
        request.body = request.body.replace(b"29", b"28")
        return request

    client._sign = changed
    assert _reason(client) == "unauthorized"
    assert names["SEEN"] == set()


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, ""), (202, ""), (204, ""), (302, "unexpected_answer"), (400, "bad_request"), (404, "not_found"),
     (429, "unexpected_answer"), (500, "server_error"), (503, "server_error")],
)  # fmt: skip
def test_answers_are_told_apart(status: int, reason: str) -> None:
    """2xx is taken; a name and a password of the address come as a header, and not in the address."""
    heard: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = _Server(Handler)
    try:
        client = _client(server.address.replace("http://", "http://me:p%40ss@"))
        if reason:
            assert _reason(client) == reason
        else:
            client.post(BODY)
    finally:
        server.server.shutdown()
        server.server.server_close()
    assert heard == [("/hook", "Basic bWU6cEBzcw==")]
