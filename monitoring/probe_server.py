"""A small HTTP server for probes and Prometheus: GET and HEAD of fixed paths, whatever is sent to it.

A caller may add branches, below which POST is possible, too; a body is never read.

Each request has a time, a size and a number of others beside it that it cannot exceed, so that no client can
take more than a few threads and some kilobytes from the job.
"""

from __future__ import annotations

import io
import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from monitoring.logs import get_logger

HEAD_BYTES = 8_192
REQUEST_SECONDS = 5.0
MAX_CONNECTIONS = 16

logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of an endpoint."""

    status: HTTPStatus
    content: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Answer:
        """`body` as JSON; moments in it as ISO 8601 text."""
        text = json.dumps(body, default=datetime.isoformat, ensure_ascii=False)
        return cls(status, text.encode("utf-8", "replace") + b"\n")


@dataclass(frozen=True, slots=True)
class Request:
    """A GET, HEAD or POST without a body; `authorizations` are the values of all such headers.

    `path` has neither a query nor a slash at its end; `address` is that of the client.
    """

    method: str
    path: str
    authorizations: tuple[str, ...]
    address: str


Endpoints = Mapping[str, Callable[[], Answer]]
# By the first part of a path, such as `/letters`; it answers all that begins so.
Branches = Mapping[str, Callable[[Request], Answer]]


class HealthServer:
    """Serves `endpoints` (by path) and `branches` from a daemon thread until `close`."""

    def __init__(self, host: str, port: int, endpoints: Endpoints, branches: Branches | None = None) -> None:
        """Bind; port 0 takes any free one. Raises OSError when that is impossible."""
        self._server = _Server((host, port), endpoints, branches or {})
        self._thread = threading.Thread(target=self._server.serve_forever, name="health-server", daemon=True)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests under way end by themselves within their time."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    # The default of 5 would let a few idle clients keep all others from even connecting.
    request_queue_size = 128
    # Without it a restarted job could not bind for a minute; on Windows it would let two jobs share the port.
    allow_reuse_address = os.name != "nt"

    def __init__(self, address: tuple[str, int], endpoints: Endpoints, branches: Branches) -> None:
        self.endpoints = endpoints
        self.branches = branches
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve in a thread of its own, if one is free."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that went away; the default prints a stack trace."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Read the whole head before it is parsed, within its time and size; bodies are not wanted."""
        head = _read_head(self.connection)
        self.connection.settimeout(REQUEST_SECONDS)
        self.requestline, self.request_version, self.command = "", self.protocol_version, ""
        if len(head) > HEAD_BYTES:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        self.rfile = io.BytesIO(head)
        super().handle()

    def version_string(self) -> str:
        """Tell no versions to strangers."""
        return "health"

    def log_message(self, *_: Any) -> None:
        """Log nothing: probes come every few seconds."""

    def do_GET(self) -> None:
        """Answer with the endpoint of the path; a query is left aside."""
        path = self.path.partition("?")[0].rstrip("/")
        branch = self.server.branches.get("/" + path.lstrip("/").partition("/")[0])
        endpoint = self.server.endpoints.get(path)
        if branch is not None:
            self._send(self._ask_branch(branch, path))
        elif endpoint is None:
            known = sorted([*self.server.endpoints, *self.server.branches])
            self._send(Answer.of_json({"error": "Not Found", "paths": known}, HTTPStatus.NOT_FOUND))
        elif self.command == "POST":
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            self._send(_ask(endpoint))

    do_HEAD = do_GET  # noqa: N815
    do_POST = do_GET  # noqa: N815

    def _ask_branch(self, branch: Callable[[Request], Answer], path: str) -> Answer:
        lengths = self.headers.get_all("Content-Length", [])
        if any(length.strip() != "0" for length in lengths) or "Transfer-Encoding" in self.headers:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            return Answer.of_json({"error": status.phrase, "reason": "send no body"}, status)
        authorizations = tuple(map(str, self.headers.get_all("Authorization", [])))
        request = Request(self.command, path, authorizations, str(self.client_address[0]))
        return _ask(lambda: branch(request))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer malformed requests and other methods without quoting them."""
        status = HTTPStatus(code)
        if status == HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self._send(Answer.of_json({"error": status.phrase}, status))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        headers = {"Allow": "GET, HEAD"} if answer.status == HTTPStatus.METHOD_NOT_ALLOWED else {}
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)


def _ask(endpoint: Callable[[], Answer]) -> Answer:
    try:
        return endpoint()
    except Exception as error:  # noqa: BLE001 - the boundary: a fault in a probe must not look like an answer
        logger.warning("A health endpoint failed", reason=type(error).__name__)
        return Answer.of_json({"error": "Internal Server Error"}, HTTPStatus.INTERNAL_SERVER_ERROR)


def _read_head(connection: socket.socket) -> bytes:
    """Read up to the empty line, cut a head that is too long; return nothing when it takes too long."""
    head, end = b"", time.monotonic() + REQUEST_SECONDS
    while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) <= HEAD_BYTES:
        left = end - time.monotonic()
        if left <= 0:
            return b""
        connection.settimeout(left)
        received = connection.recv(HEAD_BYTES)
        if not received:
            return b""
        head += received
    return head[: HEAD_BYTES + 1]
