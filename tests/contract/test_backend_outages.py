"""The backend that gets notices is in trouble: a stop ends in time, and nothing of the results is missing."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import pipelines.health.job
from pipelines.health.backend import STREAM_FLUSH_SECONDS
from sinks.health.backend_client import BackendClient
from tests.contract.systems import System
from tests.contract.systems.running import opened
from tests.support.fake_backend import TOKEN, FakeBackend
from tests.support.toxiproxy import TROUBLES, Toxiproxy
from tests.support.waiting import streaming, wait_for

_GOES_AWAY = "goes away"
# The bound for this test, what a loaded machine adds to it, and how long a try may wait for an answer.
_FLUSH_SECONDS, _SLACK_SECONDS, _TRY_SECONDS = 1.0, 30.0, 90.0


def _told_of(backend: FakeBackend, number: int) -> Callable[[], bool]:
    return lambda: len(backend.events) > number


def _seen(system: System, number: int) -> Callable[[], bool]:
    return lambda: system.seen() == number


@pytest.mark.parametrize("system", ["health"], indirect=True)
def test_a_stop_ends_in_time_whatever_the_backend_does(
    system: System, toxiproxy: Toxiproxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a notice, whose end it does not wait for; every result is there."""
    assert STREAM_FLUSH_SECONDS == 5
    monkeypatch.setattr(pipelines.health.job, "STREAM_FLUSH_SECONDS", _FLUSH_SECONDS)
    monkeypatch.setattr(BackendClient.__init__, "__defaults__", (_TRY_SECONDS, 0.5))
    backend = FakeBackend()
    door = toxiproxy.proxy(f"127.0.0.1:{backend.port}")
    system.options = {
        "batch_interval_seconds": 0.5, "backend_api_url": f"http://{door.address}", "service_token": TOKEN,
        "notices_per_second": 1_000,
    }  # fmt: skip
    troubles = [*TROUBLES, _GOES_AWAY]
    for number, trouble in enumerate(troubles):
        with opened(system) as job, streaming(job):
            told = len(backend.events)
            system.send([2 * number])
            wait_for(_told_of(backend, told), f"a notice before it {trouble}")
            backend.down() if trouble == _GOES_AWAY else TROUBLES[trouble](door)
            system.send([2 * number + 1])
            wait_for(_seen(system, 2 * number + 2), f"the batch while it {trouble}")
            began = time.monotonic()
        assert time.monotonic() - began < _FLUSH_SECONDS + _SLACK_SECONDS, trouble
        door.heal()
    door.close()
    assert system.written() == list(range(2 * len(troubles)))
    system.check()
