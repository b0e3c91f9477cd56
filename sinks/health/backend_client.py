"""One notice to the backend: `POST /api/events/emit` with a bearer token, its time-outs and its retries."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import tenacity
from pydantic import SecretStr

from contracts.addresses import is_this_machine
from sinks.health.bounded_http import RequestBound
from sinks.health.circuit_breaker import CircuitBreaker

if TYPE_CHECKING:
    import requests

TIMEOUT_SECONDS = 5.0
TRIES = 3
FIRST_WAIT_SECONDS = 0.5
MAX_WAIT_SECONDS = 5.0
_RETRIED = frozenset({"server_error", "timeout", "unreachable"})
_REASONS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "bad_request",
    HTTPStatus.UNAUTHORIZED: "unauthorized",
    HTTPStatus.FORBIDDEN: "unauthorized",
    HTTPStatus.NOT_FOUND: "not_found",
}


class NoticeError(Exception):
    """The backend did not take a notice; `reason` is one of a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BackendClient:
    """Sends bodies one after another; `closing` ends waits between tries and forbids further ones."""

    def __init__(
        self,
        address: str,
        token: SecretStr,
        breaker: CircuitBreaker,
        closing: threading.Event,
        timeout_seconds: float = TIMEOUT_SECONDS,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
    ) -> None:
        # Importing requests tries out IPv6, and an import has no effects here.
        import requests

        self._url = emit_url(address)
        # No proxy knows this machine by that name, and none is to see the token.
        self._proxies = {"no_proxy": "*"} if is_this_machine(self._url) else {}
        self._token = token
        self._breaker = breaker
        self._timeout = timeout_seconds
        self._session = requests.Session()
        self._bound = RequestBound(self._session)
        self._retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(TRIES) | tenacity.stop_when_event_set(closing),
            wait=tenacity.wait_exponential(multiplier=first_wait_seconds, max=MAX_WAIT_SECONDS),
            # An open breaker ends the tries of this notice too.
            retry=tenacity.retry_if_exception(lambda e: _is_retried(e) and not breaker.is_open),
            sleep=tenacity.sleep_using_event(closing),
            reraise=True,
        )

    def send(self, body: bytes) -> int:
        """Deliver one notice and return how many of the user's open connections were told (0 is normal).

        Server errors, time-outs and refused connections are tried 3 times, everything else once.
        Raises NoticeError.
        """
        notified: int = self._retrying(self._post_once, body)
        return notified

    def close(self) -> None:
        """Drop the connection."""
        self._session.close()

    def _post_once(self, body: bytes) -> int:
        try:
            notified = self._post(body)
        except NoticeError as error:
            # 400 is about this one notice; everything else will meet the next one too.
            if error.reason == "bad_request":
                self._breaker.succeeded()
            else:
                self._breaker.failed()
            raise
        self._breaker.succeeded()
        return notified

    def _post(self, body: bytes) -> int:
        import requests

        with self._bound.within(self._timeout):
            try:
                # A redirect would take the token to another address.
                answer = self._session.post(
                    self._url,
                    data=body,
                    auth=self._sign,
                    timeout=self._timeout,
                    allow_redirects=False,
                    proxies=self._proxies,
                )
            except requests.RequestException as error:
                is_late = self._bound.is_late or isinstance(error, requests.Timeout)
                raise NoticeError("timeout" if is_late else "unreachable") from None
        if answer.status_code == HTTPStatus.OK:
            return _notified(answer)
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NoticeError("server_error")
        raise NoticeError(_REASONS.get(answer.status_code, "unexpected_answer"))

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
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


def _is_retried(error: BaseException) -> bool:
    return isinstance(error, NoticeError) and error.reason in _RETRIED


def _notified(answer: requests.Response) -> int:
    """The connections that `answer` counts; 0 for an odd answer, since the notice was taken all the same."""
    try:
        content: Any = answer.json()
    except ValueError:
        return 0
    count = content.get("connectionsNotified") if isinstance(content, dict) else None
    return count if isinstance(count, int) and count > 0 else 0
