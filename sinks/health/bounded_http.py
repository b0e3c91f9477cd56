"""A bound for a whole HTTP request: the time-out of requests begins anew with each byte that comes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from detached import detached

if TYPE_CHECKING:
    import requests
    from urllib3.connection import HTTPConnection


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
        self._ends = 0.0

        class Adapter(HTTPAdapter):
            def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
                """As in requests; its connections show on which socket an answer is waited for."""
                pool = super().get_connection_with_tls_context(*arguments, **named)
                kind = type(pool).ConnectionCls

                class Connection(kind):  # type: ignore[misc, valid-type]
                    def _new_conn(self) -> socket.socket:
                        return bound._connected(super()._new_conn, self)

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
        self.is_late, self._wire, self._ends = False, None, time.monotonic() + seconds
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _connected(self, connect: Callable[[], socket.socket], connection: HTTPConnection) -> socket.socket:
        """What `connect` returns: it looks up a name, and tries one address after another."""
        from urllib3.exceptions import ConnectTimeoutError

        try:
            return detached(connect, "connection to the backend").result(self._ends - time.monotonic())
        except FutureTimeoutError:
            raise ConnectTimeoutError(connection, "no connection in time") from None

    def _end(self) -> None:
        self.is_late = True
        if self._wire is not None:
            with suppress(OSError):
                self._wire.shutdown(socket.SHUT_RDWR)

    def _await(self, wire: socket.socket) -> None:
        self._wire = wire
        if self.is_late:
            self._end()
