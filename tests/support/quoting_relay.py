"""A relay before the MongoDB-wire server that answers `find` with an error of its own, as a proxy might.

Real servers seldom quote an address, but drivers, proxies and hosted services have done so.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import bson

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013


class QuotingRelay:
    """Passes everything on; while `error` is set, each `find` is answered with that text."""

    def __init__(self, port: int) -> None:
        self.error: str | None = None
        self._upstream = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._replies, args=(server, client), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), client, server:
            while message := _message(client):
                reply = self._reply(message)
                (client if reply else server).sendall(reply or message)
            server.shutdown(socket.SHUT_RDWR)

    def _replies(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                client.sendall(data)

    def _reply(self, message: bytes) -> bytes | None:
        _, request, _, operation = _HEADER.unpack_from(message)
        # An OP_MSG: header, flags, a section of kind 0 that is the command.
        if self.error is None or operation != _OP_MSG or message[20] != 0:
            return None
        length = struct.unpack_from("<i", message, 21)[0]
        command: dict[str, Any] = bson.decode(message[21 : 21 + length])
        if next(iter(command)) != "find":
            return None
        answer = bson.encode({"ok": 0.0, "errmsg": self.error, "code": 96, "codeName": "OperationFailed"})
        body = struct.pack("<iB", 0, 0) + answer
        return _HEADER.pack(_HEADER.size + len(body), 0, request, _OP_MSG) + body


def _message(connection: socket.socket) -> bytes:
    """One whole message, empty at the end of the connection."""
    head = _exactly(connection, 4)
    return head and head + _exactly(connection, struct.unpack("<i", head)[0] - 4)


def _exactly(connection: socket.socket, number: int) -> bytes:
    data = b""
    while len(data) < number:
        part = connection.recv(number - len(data))
        if not part:
            return b""
        data += part
    return data


@contextmanager
def quoting_relay(port: int) -> Iterator[QuotingRelay]:
    """A relay to that port of this machine, closed afterwards."""
    relay = QuotingRelay(port)
    try:
        yield relay
    finally:
        relay.close()
