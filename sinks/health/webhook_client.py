"""Signed notices to a receiver of the team's own: `POST` with an HMAC over the time and the body.

| header | holds |
|---|---|
| `X-Notice-Timestamp` | seconds since 1970 at this try |
| `X-Notice-Signature` | `v1=` and the HMAC-SHA256, in hex, of the timestamp, a full stop and the body |
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import SecretStr

from sinks.health.circuit_breaker import CircuitBreaker
from sinks.health.notice_client import FIRST_WAIT_SECONDS, TIMEOUT_SECONDS, NoticeClient

if TYPE_CHECKING:
    import requests

TIMESTAMP: Final = "X-Notice-Timestamp"
SIGNATURE: Final = "X-Notice-Signature"
# Receivers answer 200, 201, 202 or 204.
_TAKEN: Final = range(200, 300)


class WebhookClient(NoticeClient):
    """Sends bodies to `url`, signed with `secret`; a name and a password in the address become a header.

    `clock` gives the seconds since 1970. See NoticeClient.
    """

    def __init__(
        self,
        url: SecretStr,
        secret: SecretStr,
        breaker: CircuitBreaker,
        closing: threading.Event,
        timeout_seconds: float = TIMEOUT_SECONDS,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url.get_secret_value())
        self._secret, self._clock = secret, clock
        self._name, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        seconds = (timeout_seconds, first_wait_seconds)
        super().__init__(bare, self._signed, breaker, closing, *seconds, taken=_TAKEN)

    def _signed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        from requests.auth import HTTPBasicAuth

        moment = str(int(self._clock()))
        body = request.body if isinstance(request.body, bytes) else b""
        if self._name or self._password:
            HTTPBasicAuth(self._name, self._password)(request)
        request.headers["Content-Type"] = "application/json"
        request.headers[TIMESTAMP] = moment
        request.headers[SIGNATURE] = signature(self._secret, moment, body)
        return request


def signature(secret: SecretStr, timestamp: str, body: bytes) -> str:
    """What `X-Notice-Signature` holds for `body` at `timestamp`."""
    signed = f"{timestamp}.".encode() + body
    return "v1=" + hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
