"""The notices to the backend: `POST /api/events/emit` with a bearer token."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from contracts.addresses import is_this_machine
from sinks.health.circuit_breaker import CircuitBreaker
from sinks.health.notice_client import (
    FIRST_WAIT_SECONDS,
    TIMEOUT_SECONDS,
    TRIES,
    NoticeClient,
    NoticeError,
)

if TYPE_CHECKING:
    import requests

__all__ = ["TIMEOUT_SECONDS", "TRIES", "BackendClient", "NoticeError", "emit_url", "shown_to_proxy"]


class BackendClient(NoticeClient):
    """Sends bodies to the backend at `address`, with its `token`; see NoticeClient."""

    def __init__(
        self,
        address: str,
        token: SecretStr,
        breaker: CircuitBreaker,
        closing: threading.Event,
        timeout_seconds: float = TIMEOUT_SECONDS,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
    ) -> None:
        self._token = token
        sign, seconds = self._with_token, (timeout_seconds, first_wait_seconds)
        super().__init__(emit_url(address), sign, breaker, closing, *seconds)

    def send(self, body: bytes) -> int:
        """Deliver one notice and return how many of the user's open connections were told (0 is normal).

        Raises NoticeError, after the tries of `post`.
        """
        return _notified(self.post(body))

    def _with_token(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the token as `auth`: requests would replace a plain header by the host's entry in ~/.netrc."""
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        request.headers["Content-Type"] = "application/json"
        return request


def emit_url(address: str) -> str:
    """The address of notices below `address`, which is BACKEND_API_URL with or without `/api` at its end."""
    base = address.rstrip("/")
    return f"{base if base.endswith('/api') else base + '/api'}/events/emit"


def shown_to_proxy(address: str) -> str:
    """A sentence when a proxy that the environment names gets the token unencrypted; else empty."""
    from requests.utils import get_environ_proxies, select_proxy

    url = emit_url(address)
    if not url.lower().startswith("http://") or is_this_machine(url):
        return ""
    if not select_proxy(url, get_environ_proxies(url)):
        return ""
    return (
        "SERVICE_TOKEN goes unencrypted through the proxy of HTTP_PROXY or ALL_PROXY: "
        f"use https in BACKEND_API_URL, or put {urlsplit(url).hostname} into NO_PROXY"
    )


def _notified(answer: requests.Response) -> int:
    """The connections that `answer` counts; 0 for an odd answer, since the notice was taken all the same."""
    try:
        content: Any = answer.json()
    except ValueError:
        return 0
    count = content.get("connectionsNotified") if isinstance(content, dict) else None
    return count if isinstance(count, int) and count > 0 else 0
