"""Sending one notice: the address, the token, what is tried again and what not, what the breaker counts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from sinks.health.backend_client import BackendClient, NoticeError, emit_url, shown_to_proxy
from sinks.health.circuit_breaker import CircuitBreaker
from tests.support.fake_backend import TOKEN, FakeBackend
from tests.support.hanging_names import HANGING, KNOWN, hanging_names
from tests.support.toxiproxy import TROUBLES, Toxiproxy

USER = "507f1f77bcf86cd799439011"
BODY = json.dumps({"userId": USER, "eventType": "analytics:update", "data": {"analytics": [{}]}}).encode()


@pytest.fixture
def backend() -> Iterator[FakeBackend]:
    """Up, with the right token."""
    running = FakeBackend()
    yield running
    running.down()


class Bench:
    """A client with short waits; how long it has patience is only a test's subject where it is slow."""

    def __init__(
        self, address: str, token: str = TOKEN, failures: int = 100, timeout_seconds: float = 60.0
    ) -> None:
        self.closing = threading.Event()
        self.breaker = CircuitBreaker(failures)
        self.client = BackendClient(
            address,
            SecretStr(token),
            self.breaker,
            self.closing,
            timeout_seconds=timeout_seconds,
            first_wait_seconds=0.05,
        )

    def reason(self) -> str:
        """Why a notice was not taken."""
        with pytest.raises(NoticeError) as caught:
            self.client.send(BODY)
        return caught.value.reason


@pytest.mark.parametrize(
    "address",
    ["http://host:5000", "http://host:5000/", "http://host:5000/api", "http://host:5000/api/"],
)
def test_the_address_may_end_in_api_or_not(address: str) -> None:
    """People write both."""
    assert emit_url(address) == "http://host:5000/api/events/emit"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost"])
@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_what_runs_on_this_machine_is_asked_without_a_proxy(
    variable: str, host: str, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would get the token, and does not know this machine by that name."""
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    address = backend.address.replace("127.0.0.1", host)
    assert Bench(address).client.send(BODY) == 0
    assert shown_to_proxy(address) == ""


@pytest.mark.parametrize(
    ("address", "variables", "told"),
    [
        ("http://backend:5000", {"http_proxy": "http://a:hunter2@proxy:3128"}, True),
        ("http://backend:5000/api", {"ALL_PROXY": "http://proxy:3128"}, True),
        ("http://backend:5000", {"http_proxy": "http://proxy:3128", "no_proxy": "backend"}, False),
        ("http://backend:5000", {"https_proxy": "http://proxy:3128"}, False),
        ("https://backend:5000", {"https_proxy": "http://proxy:3128"}, False),
        ("http://[::1]:5000", {"http_proxy": "http://proxy:3128"}, False),
        ("http://backend:5000", {}, False),
    ],
)
def test_a_token_goes_through_a_proxy_unencrypted_only_with_a_word(
    address: str, variables: dict[str, str], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which names the remedy, and of the proxy only where it is set."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for each in (name, name.upper()):
            monkeypatch.delenv(each, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    sentence = shown_to_proxy(address)
    assert bool(sentence) is told
    assert not told or "put backend into NO_PROXY" in sentence
    assert "hunter2" not in sentence


def test_an_event_that_is_taken_tells_who_heard_it(backend: FakeBackend) -> None:
    """0 connections are normal: nobody is looking."""
    bench = Bench(backend.address)
    assert bench.client.send(BODY) == 0
    backend.connections[USER] = 3
    assert bench.client.send(BODY) == 3
    assert [request.status for request in backend.requests] == [200, 200]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "bad_request"), (401, "unauthorized"), (403, "unauthorized"), (404, "not_found")],
)
def test_refusals_are_never_tried_again(backend: FakeBackend, status: int, reason: str) -> None:
    """The same request would be refused again."""
    backend.broken = status
    assert Bench(backend.address).reason() == reason
    assert len(backend.requests) == 1


def test_a_wrong_token_and_a_wrong_path_are_told_apart(backend: FakeBackend) -> None:
    """Both are for a person to mend."""
    assert Bench(backend.address, token="wrong").reason() == "unauthorized"  # noqa: S106
    assert Bench(f"{backend.address}/v2").reason() == "not_found"


def test_server_errors_are_tried_three_times_with_growing_waits(backend: FakeBackend) -> None:
    """0.5 s and 1 s in production, a tenth here."""
    backend.broken = 500
    assert Bench(backend.address).reason() == "server_error"
    first, second, third = (request.time for request in backend.requests)
    assert second - first >= 0.05
    assert third - second >= 0.1


def test_a_backend_that_recovers_between_tries_is_no_failure(backend: FakeBackend) -> None:
    """What the tries are for."""
    backend.broken = 500
    bench = Bench(backend.address)

    def mend() -> None:
        while not backend.requests:
            time.sleep(0.005)
        backend.broken = None

    thread = threading.Thread(target=mend)
    thread.start()
    assert bench.client.send(BODY) == 0
    thread.join()
    assert not bench.breaker.is_open


def test_a_slow_backend_is_a_time_out_and_one_that_is_away_unreachable(backend: FakeBackend) -> None:
    """Both are tried 3 times."""
    backend.delay_seconds = 60.0
    assert Bench(backend.address, timeout_seconds=0.5).reason() == "timeout"
    assert len(backend.requests) == 3
    backend.down()
    assert Bench(backend.address).reason() == "unreachable"


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_try_ends_in_time_however_the_backend_answers(
    trouble: str, backend: FakeBackend, toxiproxy: Toxiproxy
) -> None:
    """The bound is that of a whole request, not of each byte of its answer."""
    door = toxiproxy.proxy(f"127.0.0.1:{backend.port}")
    bench = Bench(f"http://{door.address}", timeout_seconds=0.5)
    assert bench.client.send(BODY) == 0
    TROUBLES[trouble](door)
    began = time.monotonic()
    assert bench.reason() == ("unreachable" if trouble == "refuses" else "timeout")
    assert time.monotonic() - began < 3 * 0.5 + 10
    door.heal()
    assert bench.client.send(BODY) == 0
    door.close()


def test_each_try_ends_in_time_while_the_backend_s_name_is_looked_up() -> None:
    """Which the system does, for as long as it likes."""
    bench = Bench(f"http://{HANGING}:9", timeout_seconds=0.3)
    began = time.monotonic()
    with hanging_names():
        assert bench.reason() == "timeout"
        assert time.monotonic() - began < 3 * 0.3 + 10


def test_a_backend_is_found_by_its_name(backend: FakeBackend) -> None:
    """Whose look-up may take what is left of a try."""
    with hanging_names():
        assert Bench(f"http://{KNOWN}:{backend.port}").client.send(BODY) == 0
    assert Bench("http://unknown.invalid:9").reason() == "unreachable"


def test_the_breaker_opens_in_the_middle_of_the_tries(backend: FakeBackend) -> None:
    """Five failures in a row are five requests, not five notices of three tries each."""
    backend.broken = 500
    bench = Bench(backend.address, failures=5)
    assert [bench.reason(), bench.reason()] == ["server_error", "server_error"]
    assert len(backend.requests) == 5
    assert bench.breaker.is_open


def test_a_bad_request_shows_a_living_backend_but_a_wrong_token_does_not(backend: FakeBackend) -> None:
    """400 is about one notice; 401, 403 and 404 will meet every notice until they are mended."""
    bench = Bench(backend.address, failures=3)
    backend.broken = 400
    for _ in range(5):
        bench.reason()
    assert not bench.breaker.is_open
    backend.broken = 403
    for _ in range(3):
        bench.reason()
    assert bench.breaker.is_open


def test_closing_ends_the_waits_and_the_tries(backend: FakeBackend) -> None:
    """A shutdown is not held up by a backend that fails."""
    backend.broken = 500
    bench = Bench(backend.address)
    bench.closing.set()
    bench.reason()
    assert len(backend.requests) == 1


def test_a_redirect_is_not_followed(backend: FakeBackend) -> None:
    """The token is for this address alone."""
    backend.broken = 307
    assert Bench(backend.address).reason() == "unexpected_answer"
    assert len(backend.requests) == 1


def test_other_credentials_of_this_machine_do_not_replace_the_token(
    backend: FakeBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """requests puts what ~/.netrc has for the host in place of an Authorization header."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert Bench(backend.address).client.send(BODY) == 0
