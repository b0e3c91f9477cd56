"""One notice after another by HTTP POST: its time-outs, its retries, and what a refusal means."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import tenacity

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
    """A receiver did not take a notice; `reason` is one of a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoticeClient:
    """Sends bodies to `url` one after another; `closing` ends waits between tries and forbids further ones.

    `sign` sets the headers of each try. Statuses of `taken` say that a notice was taken.
    """

    def __init__(
        self,
        url: str,
        sign: Callable[[requests.PreparedRequest], requests.PreparedRequest],
        breaker: CircuitBreaker,
        closing: threading.Event,
        timeout_seconds: float = TIMEOUT_SECONDS,
        first_wait_seconds: float = FIRST_WAIT_SECONDS,
        *,
        taken: range = range(HTTPStatus.OK, HTTPStatus.OK + 1),
    ) -> None:
        # Importing requests tries out IPv6, and an import has no effects here.
        import requests

        self._url = url
        self._sign = sign
        # No proxy knows this machine by that name, and none is to see the token.
        self._proxies = {"no_proxy": "*"} if is_this_machine(url) else {}
        self._taken = taken
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

    def post(self, body: bytes) -> requests.Response:
        """Deliver one notice and return the answer that took it.

        Server errors, time-outs and refused connections are tried 3 times, everything else once.
        Raises NoticeError.
        """
        answer: requests.Response = self._retrying(self._post_once, body)
        return answer

    def close(self) -> None:
        """Drop the connection."""
        self._session.close()

    def _post_once(self, body: bytes) -> requests.Response:
        try:
            answer = self._try(body)
        except NoticeError as error:
            # 400 is about this one notice; everything else will meet the next one too.
            if error.reason == "bad_request":
                self._breaker.succeeded()
            else:
                self._breaker.failed()
            raise
        self._breaker.succeeded()
        return answer

    def _try(self, body: bytes) -> requests.Response:
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
        if answer.status_code in self._taken:
            return answer
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise NoticeError("server_error")
        raise NoticeError(_REASONS.get(answer.status_code, "unexpected_answer"))


def _is_retried(error: BaseException) -> bool:
    return isinstance(error, NoticeError) and error.reason in _RETRIED
