"""How receivers are asked: without what this machine would add of itself, and never elsewhere than asked."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from contracts.addresses import is_this_machine
from monitoring.receivers.outbox import AwayError, RefusedError

if TYPE_CHECKING:
    import requests

# Of one request.
TIMEOUT_SECONDS = 5.0
_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


def below(address: str, path: str) -> str:
    """Returns `path` below `address`, without a user and a password (`Asking` has those)."""
    parts = urlsplit(address)
    return urlunsplit(
        (parts.scheme, parts.netloc.rpartition("@")[2], f"{parts.path.rstrip('/')}/{path}", "", "")
    )


class Asking:
    """A `session` for the server of `address`, with the user and the password that it names.

    Its requests raise AwayError and RefusedError; a library that swallows those leaves the last one in
    `fault`. None tries again after them: the outbox does.
    """

    def __init__(self, address: str) -> None:
        # Importing requests tries out IPv6, and an import has no effects here.
        import requests
        from requests.utils import get_auth_from_url

        self.session = requests.Session()
        # Else ~/.netrc would replace a token; a redirect would take it to another address.
        named = get_auth_from_url(address)
        self.session.auth = named if any(named) else _as_it_is
        self.session.max_redirects = 0
        # No proxy knows this machine by that name.
        self.session.trust_env = not is_this_machine(address)
        self.fault: Exception | None = None
        self._request = self.session.request
        setattr(self.session, "request", self._once)  # noqa: B010 - for mypy a method is no variable

    def _once(self, *arguments: Any, **options: Any) -> requests.Response:
        import requests

        self.fault = None
        try:
            answer = self._request(*arguments, **options)
            _judge(answer.status_code)
        except (requests.ConnectionError, requests.Timeout) as error:
            self.fault = AwayError(type(error).__name__)
        except requests.RequestException as error:
            self.fault = RefusedError(type(error).__name__)
        except (AwayError, RefusedError) as error:
            self.fault = error
        else:
            return answer
        raise self.fault from None


def quiet(library: str) -> None:
    """Let `library` log nothing by itself: one line of ours says it, without addresses."""
    logging.getLogger(library).setLevel(logging.CRITICAL + 1)


def _as_it_is(request: Any) -> Any:
    return request


def _judge(status: int) -> None:
    if 200 <= status < 300:
        return
    away = status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    raise (AwayError if away else RefusedError)(f"it answers with HTTP {status}", status)
