"""A server that refuses every connection, in whatever words, as PostgreSQL does before it knows who asks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

_START_UP = 3 << 16


@contextmanager
def refusing_server(severity: str, sqlstate: str, message: str) -> Iterator[str]:
    """The address of one that sends this error, gone after the block."""
    fields = {"S": severity, "V": "FATAL", "C": sqlstate, "M": message}
    body = b"".join(f"{name}{text}\0".encode() for name, text in fields.items()) + b"\0"
    answer = b"E" + (len(body) + 4).to_bytes(4, "big") + body
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=_serve, args=(server, answer), daemon=True).start()
        yield f"postgresql://app:hunter2@127.0.0.1:{server.getsockname()[1]}/shop"
        # Closing alone does not wake who accepts.
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, answer: bytes) -> None:
    with suppress(OSError):
        while True:
            with server.accept()[0] as peer:
                while True:
                    length = int.from_bytes(peer.recv(4), "big")
                    asked = peer.recv(length - 4) if length else b""
                    if int.from_bytes(asked[:4], "big") == _START_UP or not asked:
                        break
                    peer.sendall(b"N")  # no encryption
                peer.sendall(answer)
