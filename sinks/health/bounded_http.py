"""A bound for a whole HTTP request: the time-out of requests begins anew with each byte that comes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests


class RequestBound:
    """Ends requests of one session, which one thread uses.

    `is_late` tells whether the latest was ended; what requests raises then says something else.
    """

    def __init__(self, session: requests.Session) -> None:
        # Importing requests tries out IPv6, and an import has no effects here.
        from requests.adapters import HTTPAdapter

        bound = self
        self.is_late = False
        self._wire: socket.socket | None = None

        class Adapter(HTTPAdapter):
            def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
                """As in requests; its connections show on which socket an answer is waited for."""
                pool = super().get_connection_with_tls_context(*arguments, **named)
                kind = type(pool).ConnectionCls

                class Connection(kind):  # type: ignore[misc, valid-type]
                    def getresponse(self) -> Any:
                        bound._await(self.sock)
                        return super().getresponse()

                pool.ConnectionCls = Connection
                return pool

        for scheme in ("http://", "https://"):
            session.mount(scheme, Adapter())

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """End the request that the block makes after `seconds`, by shutting its connection."""
        self.is_late, self._wire = False, None
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self) -> None:
        self.is_late = True
        if self._wire is not None:
            with suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)

    def _await(self, wire: socket.socket) -> None:
        self._wire = wire
        if self.is_late:
            self._end()
