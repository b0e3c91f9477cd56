"""The HTTP server of the probes: GET and HEAD of fixed paths, and no harm from whatever else is sent."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring import probe_server as health_server
from monitoring.probe_server import HEAD_BYTES, MAX_CONNECTIONS, Answer, HealthServer

WAIT_SECONDS = 120.0


def _fail() -> Answer:
    raise RuntimeError("mongodb://app:hunter2@host")


ENDPOINTS: dict[str, Callable[[], Answer]] = {
    "/health": lambda: Answer.of_json({"status": "healthy", "at": datetime(2025, 7, 1, tzinfo=timezone.utc)}),
    "/health/ready": lambda: Answer.of_json({"status": "degraded"}, HTTPStatus.SERVICE_UNAVAILABLE),
    "/broken": _fail,
}


@pytest.fixture(scope="module")
def server() -> Iterator[HealthServer]:
    """On any free port."""
    running = HealthServer("127.0.0.1", 0, ENDPOINTS)
    running.start()
    yield running
    running.close()


def ask(server: HealthServer, path: str = "/health", method: str = "GET") -> requests.Response:
    """One request, as a probe sends it."""
    return requests.request(method, f"http://127.0.0.1:{server.port}{path}", timeout=WAIT_SECONDS)


def raw(server: HealthServer, sent: bytes) -> bytes:
    """Everything the server answers to `sent`, however it ends."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS) as connection:
        received = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                received += part
        except OSError:
            pass
        return received


def test_an_endpoint_answers_with_its_status_and_json(server: HealthServer) -> None:
    """Queries and a slash at the end change nothing; nothing is cached and no version told."""
    answer = ask(server)
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "healthy", "at": "2025-07-01T00:00:00+00:00"},
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Python" not in answer.headers["Server"]
    assert ask(server, "/health/?verbose=1").status_code == 200
    assert ask(server, "/health/ready").status_code == 503


def test_head_has_the_headers_of_get_alone(server: HealthServer) -> None:
    """As load balancers ask."""
    head, get = ask(server, method="HEAD"), ask(server)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.content))
    assert raw(server, b"HEAD /health HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/", "/nothing", "/health/ready/deeper", "/../etc/passwd", "/%2e%2e"])
def test_other_paths_are_not_found(server: HealthServer, path: str) -> None:
    """There are no files behind it; the answer names the paths there are."""
    answer = raw(server, f"GET {path} HTTP/1.0\r\n\r\n".encode())
    assert b" 404 " in answer.splitlines()[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["paths"] == sorted(ENDPOINTS)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_only_get_and_head_are_allowed(server: HealthServer, method: str) -> None:
    """Nothing can be changed from outside."""
    answer = ask(server, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_failing_endpoint_tells_no_details(server: HealthServer) -> None:
    """No stack trace, no message: it might hold a password."""
    answer = ask(server, "/broken")
    assert (answer.status_code, answer.json()) == (500, {"error": "Internal Server Error"})


def test_a_huge_head_is_refused(server: HealthServer) -> None:
    """Before its end is there, so that it cannot fill the memory; one long line or many lines."""
    for begin in (b"GET /", b"GET /health HTTP/1.0\r\n" + b"X: y\r\n" * 500):
        assert b" 431 " in raw(server, begin.ljust(HEAD_BYTES + 1, b"a")).splitlines()[0]
    # What is still on its way when the answer is sent may cost the answer, but nothing else.
    assert len(raw(server, b"GET /" + b"a" * 10_000_000)) < 2_000
    fitting = b"GET /health HTTP/1.0\r\nX: ".ljust(HEAD_BYTES - 4, b"a") + b"\r\n\r\n"
    assert b" 200 " in raw(server, fitting).splitlines()[0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.one_of(st.binary(max_size=300), st.builds(lambda text: b"GET " + text + b"\r\n\r\n", st.binary()))
)
def test_any_bytes_get_a_short_answer_or_none(server: HealthServer, sent: bytes) -> None:
    """Never a stack trace, never the sender's own words, and the server lives on."""
    answer = raw(server, sent)
    assert len(answer) < 2_000
    assert b"Traceback" not in answer
    assert ask(server).status_code == 200


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[HealthServer]:
    """A server that gives a request three seconds."""
    monkeypatch.setattr(health_server, "REQUEST_SECONDS", 3.0)
    running = HealthServer("127.0.0.1", 0, ENDPOINTS)
    running.start()
    yield running
    running.close()


def connect(server: HealthServer, count: int) -> list[socket.socket]:
    """Connections on which nothing is sent yet."""
    return [socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS) for _ in range(count)]


def ended(connection: socket.socket, sent: bytes = b"") -> bool:
    """Whether the server has closed the connection, after `sent`."""
    connection.settimeout(0.02)
    try:
        connection.sendall(sent)
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_slow_clients_are_cut_off_and_hold_up_nobody(hasty: HealthServer) -> None:
    """Slowloris: byte after byte, never an end; others are answered meanwhile, and its time is bounded."""
    slow = connect(hasty, MAX_CONNECTIONS // 2)
    end = time.monotonic() + WAIT_SECONDS
    while slow:
        assert ask(hasty).status_code == 200
        slow = [connection for connection in slow if not ended(connection, b"x")]
        assert time.monotonic() < end


def test_too_many_connections_are_refused_and_leave_their_places(hasty: HealthServer) -> None:
    """At most 16 threads, whoever knocks; when the idle ones are cut off, everybody is answered again."""
    before = threading.active_count()
    idle = connect(hasty, 5 * MAX_CONNECTIONS)
    end = time.monotonic() + WAIT_SECONDS
    while idle:
        assert threading.active_count() <= before + MAX_CONNECTIONS
        idle = [connection for connection in idle if not ended(connection)]
        assert time.monotonic() < end
    while not _answers(hasty):
        assert time.monotonic() < end


def _answers(server: HealthServer) -> bool:
    try:
        return ask(server).status_code == 200
    except requests.RequestException:
        return False


def test_a_taken_port_is_an_error_for_the_caller(server: HealthServer) -> None:
    """Also when the other one just listens; the port is not shared silently."""
    with pytest.raises(OSError, match="in use"):
        HealthServer("127.0.0.1", server.port, ENDPOINTS)


def test_a_closed_server_frees_its_port() -> None:
    """A restarted job finds it free; closing one that never started does not hang."""
    first = HealthServer("127.0.0.1", 0, ENDPOINTS)
    port = first.port
    first.close()
    second = HealthServer("127.0.0.1", port, ENDPOINTS)
    second.start()
    assert ask(second).status_code == 200
    second.close()
    HealthServer("127.0.0.1", port, ENDPOINTS).close()


def test_it_listens_on_ipv6_too() -> None:
    """HEALTH_HOST may be an IPv6 address."""
    try:
        server = HealthServer("::1", 0, ENDPOINTS)
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    server.start()
    answer: Any = requests.get(f"http://[::1]:{server.port}/health", timeout=WAIT_SECONDS)
    assert answer.status_code == 200
    server.close()
