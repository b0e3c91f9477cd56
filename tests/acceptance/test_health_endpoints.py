"""The health endpoints of a running stream, with a database that goes away and comes back."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.support.job import HealthJob
from tests.support.monitoring_stack import promtool
from tests.support.toxiproxy import Proxy, free_port, through
from tests.support.waiting import wait_for


@pytest.fixture
def job(small_job: HealthJob) -> HealthJob:
    """What is tried here does not depend on the size."""
    return small_job


class Probe:
    """Asks one job."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def ask(self, path: str) -> tuple[int, Any]:
        """Status and body; 0 while nobody listens."""
        try:
            answer = requests.get(self._base + path, timeout=20)
        except requests.ConnectionError:
            return 0, None
        return answer.status_code, answer.json() if path != "/metrics" else answer.text

    def is_ready(self) -> bool:
        """Whether the job says so."""
        return self.ask("/health/ready")[0] == 200


def test_ready_follows_the_database_and_live_does_not(
    job: HealthJob, mongo_proxy: Proxy, mongo_uri: str
) -> None:
    """Cut: 503 with the reason, while the process lives on; healed: 200. Stopped: nobody listens."""
    port = free_port()
    probe = Probe(port)
    process = job.start(
        MONGO_URI=through(mongo_proxy, mongo_uri),
        MONGO_TIMEOUT_SECONDS="1",
        RETRY_MAX_SECONDS="0.5",
        HEALTH_PORT=str(port),
    )
    wait_for(probe.is_ready, "ready", process)
    assert probe.ask("/health")[1]["status"] == "healthy"
    detailed = probe.ask("/health/detailed")[1]
    assert detailed["last_batch"]["status"] == "completed_with_errors"
    assert detailed["dependencies"] == {"MongoDB": True}
    assert detailed["events"] == {"enabled": False}
    letters = probe.ask("/health/dlq")[1]
    assert letters["letters"] == len(list((job.folder / "dlq").iterdir())) > 0
    assert sum(letters["by_reason"].values()) == letters["examined"]
    metrics = probe.ask("/metrics")[1]

    mongo_proxy.cut()
    wait_for(lambda: not probe.is_ready(), "not ready", process)
    status, body = probe.ask("/health/ready")
    assert (status, body["status"]) == (503, "degraded")
    assert "MongoDB does not answer" in body["reasons"]
    assert probe.ask("/health/live") == (200, {"status": "alive", "reasons": []})
    assert probe.ask("/health")[0] == 200
    wait_for(lambda: "the last" in str(probe.ask("/health/ready")[1]), "a failed batch", process)
    mongo_proxy.heal()
    wait_for(probe.is_ready, "ready again", process)

    assert job.stop(process) == 0, job.output()
    assert probe.ask("/health")[0] == 0
    job.assert_equals_reference()
    # Last: without promtool everything before has been tested.
    _check_metrics(metrics)


def _check_metrics(text: str) -> None:
    """promtool finds nothing but the seed's name with an abbreviated unit."""
    complaints = promtool("check", "metrics", content=text.encode()).stdout.splitlines()
    assert [line for line in complaints if "average_processing_time_ms" not in line] == []
