"""A door to a MongoDB server that answers chosen commands with an error of the server's own, or never.

Networks are Toxiproxy's to break; this is for what a server says: not primary, shutting down, not authorized.
It understands OP_MSG just well enough to see a command's name; everything else passes through unchanged.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import bson

_OP_MSG = 2013
_HEADER = struct.Struct("<iiii")
_DRIP_SECONDS = 0.2
# No answer, half of it, or a byte now and then.
Stall = Literal["silent", "half", "drips"]
# What a driver asks by itself; the first one is no OP_MSG.
_GREETINGS = ("", "hello", "isMaster", "ismaster")


class Answers:
    """Which commands get which error, how often, and how often each command came."""

    def __init__(self, address: str) -> None:
        # host:port where clients connect.
        self.address = address
        self.seen: Counter[str] = Counter()
        self._rules: dict[str, list[tuple[int, str]]] = {}
        self._lock = threading.Lock()
        self._stalls: tuple[frozenset[str], Stall] | None = None
        self._healed = threading.Event()

    def refuse(self, command: str, code: int, message: str, times: int = 1) -> None:
        """Answer the next `times` commands of that name with the error."""
        with self._lock:
            self._rules[command] = [(code, message)] * times

    def hang(self, *commands: str, how: Stall = "silent") -> None:
        """Leave `commands`, or all but greetings, without a whole answer until `heal`.

        The driver's own look at the server goes on finding it well.
        """
        with self._lock:
            self._healed.clear()
            self._stalls = frozenset(commands), how

    def heal(self) -> None:
        """Let everything pass. Connections that hang are closed."""
        with self._lock:
            self._rules.clear()
            self._stalls = None
            self._healed.set()

    def stalls(self, command: str) -> Stall | None:
        """How the answer to `command` is held back; None when it passes."""
        with self._lock:
            chosen, how = self._stalls or (frozenset({"none"}), None)
            return how if (command in chosen if chosen else command not in _GREETINGS) else None

    def hold_back(self, reply: bytes, how: Stall, client: socket.socket) -> None:
        """Give `client` as much of `reply` as `how` says, and return when it is healed."""
        if how == "drips":
            for place in range(len(reply) - 1):
                client.sendall(reply[place : place + 1])
                if self._healed.wait(_DRIP_SECONDS):
                    return
        elif how == "half":
            client.sendall(reply[: len(reply) // 2])
        self._healed.wait()

    def take(self, command: str) -> tuple[int, str] | None:
        """The error for a command that has come, if it is to get one."""
        with self._lock:
            self.seen[command] += 1
            left = self._rules.get(command)
            return left.pop() if left else None


@contextmanager
def answering(upstream: str) -> Iterator[Answers]:
    """A door to `upstream` (host:port) on a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answers = Answers(f"127.0.0.1:{listener.getsockname()[1]}")
        host, _, port = upstream.rpartition(":")
        accept = threading.Thread(target=_accept, args=(listener, (host, int(port)), answers), daemon=True)
        accept.start()
        yield answers
        answers.heal()
        # Closing alone does not wake the thread that waits in accept().
        listener.shutdown(socket.SHUT_RDWR)
        accept.join()


def _accept(listener: socket.socket, upstream: tuple[str, int], answers: Answers) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, upstream, answers), daemon=True).start()


def _serve(client: socket.socket, upstream: tuple[str, int], answers: Answers) -> None:
    """One connection: a request at a time, as drivers send them."""
    with suppress(OSError, EOFError), client, socket.create_connection(upstream) as server:
        while True:
            request = _message(client)
            command = _command(request)
            stalled, error = answers.stalls(command), answers.take(command)
            if stalled is not None:
                # What is never answered was never done.
                reply = b""
                if stalled != "silent":
                    server.sendall(request)
                    reply = _message(server)
                answers.hold_back(reply, stalled, client)
                return
            if error is None:
                server.sendall(request)
                client.sendall(_message(server))
            else:
                client.sendall(_refusal(request, *error))


def _message(source: socket.socket) -> bytes:
    header = _exactly(source, _HEADER.size)
    return header + _exactly(source, _HEADER.unpack(header)[0] - _HEADER.size)


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = source.recv(size - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _command(request: bytes) -> str:
    """The first key of the body of an OP_MSG; drivers put that section first."""
    if _HEADER.unpack_from(request)[3] != _OP_MSG or request[_HEADER.size + 4] != 0:
        return ""
    body = request[_HEADER.size + 5 :]
    return next(iter(bson.decode(body[: struct.unpack_from("<i", body)[0]])))


def _refusal(request: bytes, code: int, message: str) -> bytes:
    body = bson.encode({"ok": 0.0, "errmsg": message, "code": code})
    payload = struct.pack("<iB", 0, 0) + body
    request_id = _HEADER.unpack_from(request)[1]
    return _HEADER.pack(_HEADER.size + len(payload), request_id + 1, request_id, _OP_MSG) + payload
