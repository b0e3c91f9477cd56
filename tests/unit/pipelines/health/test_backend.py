"""The backend's side of a run: off without a token, counted in the metrics, told once in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mongomock
import pytest
import structlog
from bson import ObjectId
from pydantic import SecretStr
from structlog.testing import capture_logs

from monitoring.metrics import Metrics
from pipelines.health.backend import Backend
from tests.support.fake_backend import TOKEN, FakeBackend
from tests.support.waiting import wait_for
from tests.unit.monitoring.test_metrics import samples
from tests.unit.sinks.health.test_backend_notices import THEN
from tests.unit.sinks.health.test_backend_payloads import document


class Bench:
    """A run's backend with everything real but the database."""

    def __init__(self, folder: Path, token: str = TOKEN) -> None:
        self.server = FakeBackend()
        self.metrics = Metrics(folder)
        self.analytics: Any = mongomock.MongoClient(tz_aware=True)["x"]["analytics"]
        self.backend = Backend(self.server.address, SecretStr(token), 1000.0, self.analytics, self.metrics)

    def write(self, connections: int = 0) -> None:
        """Store and publish one user, who has so many pages open."""
        user = ObjectId()
        self.server.connections[str(user)] = connections
        self.analytics.insert_one(document(userId=user, calculatedAt=THEN))
        self.backend.publish([user], THEN)

    def wait(self, outcome: str, count: int) -> None:
        """Until it was counted so often."""
        wait_for(
            lambda: self.backend.status()["outcomes"].get(outcome, 0) >= count,
            self.backend.status,
            pause_seconds=0.005,
        )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Makes benches and closes them."""
    made: list[Bench] = []

    def one(**options: Any) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield one
    for bench in made:
        bench.backend.close(5)
        bench.server.down()


def test_without_a_token_nothing_is_sent_and_nothing_measured(make: Callable[..., Bench]) -> None:
    """Notices are off; no thread and no metric says otherwise."""
    bench = make(token="")
    bench.write()
    bench.backend.close(5)
    bench.metrics.write()
    assert bench.server.requests == []
    assert bench.backend.status() == {"enabled": False}
    assert bench.backend.summary() is None
    assert "backend" not in bench.metrics.path.read_text()


def test_everything_is_counted_in_the_metrics_and_the_summary(make: Callable[..., Bench]) -> None:
    """Sent, notified, refused, and the state; the file has them all after the end."""
    bench = make()
    bench.write(connections=3)
    bench.write()
    bench.wait("sent", 2)
    bench.server.broken = 400
    bench.write()
    bench.wait("bad_request", 1)
    bench.backend.close(5)
    found = samples(bench.metrics.path)
    assert found["health_backend_events_total{sent}"] == 2
    assert found["health_backend_events_total{bad_request}"] == 1
    assert found["health_backend_connections_notified_total"] == 3
    assert found["health_backend_circuit_open"] == 0
    assert found["health_backend_users_waiting"] == 0
    assert bench.backend.summary() == "📣 Backend notices: 1 bad_request, 2 sent; 3 open connections reached"
    assert bench.server.violations == []


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """Every line that is logged, whatever level an earlier test has set."""
    before = structlog.get_config()
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines
    structlog.configure(**before)


def test_an_outage_is_told_once_and_its_end_too(make: Callable[..., Bench], logged: list[Any]) -> None:
    """Not once a notice; the address and the token are in no line."""
    bench = make()
    bench.server.broken = 403
    for _ in range(3):
        bench.write()
    bench.wait("unauthorized", 3)
    bench.server.broken = None
    bench.write()
    bench.write()
    bench.wait("sent", 2)
    lines = [line["event"] for line in logged]
    assert len(lines) == 2
    assert "SERVICE_TOKEN" in lines[0]
    assert lines[1] == "The backend takes notices again"
    assert TOKEN not in str(logged)


def test_the_open_breaker_is_shown(make: Callable[..., Bench]) -> None:
    """In the status and as a gauge, with the users who wait."""
    bench = make()
    bench.server.broken = 403
    for _ in range(7):
        bench.write()
    bench.wait("unauthorized", 5)
    status = bench.backend.status()
    assert (status["circuit"], status["users_waiting"]) == ("open", 2)
    bench.metrics.write()
    found = samples(bench.metrics.path)
    assert found["health_backend_circuit_open"] == 1
    assert found["health_backend_users_waiting"] == 2
