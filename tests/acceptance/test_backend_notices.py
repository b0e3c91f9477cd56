"""`python main.py` beside a backend in every kind of trouble: batches go on equally fast, all is counted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from statistics import median
from subprocess import Popen
from typing import Any

import requests

from tests.support.fake_backend import TOKEN, FakeBackend
from tests.support.job import HealthJob
from tests.support.toxiproxy import free_port
from tests.support.waiting import wait_for
from tests.unit.monitoring.test_metrics import samples


class Run:
    """The stream, one edit of one user at a time, and what the job says of its events."""

    def __init__(self, job: HealthJob, backend: FakeBackend) -> None:
        port = free_port()
        self.job = job
        self.source = job.database["healthmetrics"]
        self.process: Popen[str] = job.start(
            BACKEND_API_URL=backend.address, SERVICE_TOKEN=TOKEN, HEALTH_PORT=str(port)
        )
        self._detailed = f"http://127.0.0.1:{port}/health/detailed"
        self._edited = 0

    def outcomes(self) -> dict[str, int]:
        """The counts so far; none before the endpoints are there."""
        try:
            return dict(requests.get(self._detailed, timeout=20).json()["events"]["outcomes"])
        except requests.ConnectionError:
            return {}

    def circuit(self) -> str:
        """open or closed."""
        return str(requests.get(self._detailed, timeout=20).json()["events"]["circuit"])

    def wait(self, outcome: str, count: int) -> None:
        """Until it was counted so often."""
        wait_for(lambda: self.outcomes().get(outcome, 0) >= count, f"{count} × {outcome}", self.process)

    def edit(self) -> float:
        """A user's newest day changes; returns the milliseconds of the batch that found it."""
        users = sorted(self.job.database["analytics"].distinct("userId"))
        user, before = users[self._edited], len(self.batches())
        self._edited += 1
        now = datetime.now(timezone.utc)
        day = self.source.find_one({"userId": user}, sort=[("date", -1)])
        assert day
        self.source.update_one({"_id": day["_id"]}, {"$set": {"metrics.steps": 4321, "updatedAt": now}})
        wait_for(lambda: len(self.batches()) > before, "the batch of an edit", self.process)
        (batch,) = self.batches()[before:]
        assert (batch["success"], batch["users"]) == (True, 1)
        return float(batch["processing_time_ms"])

    def batches(self) -> list[dict[str, Any]]:
        """The lines of the batch log."""
        files = sorted((self.job.folder / "logs").glob("batch_logs_*.jsonl"))
        lines = [line for file in files for line in file.read_text().splitlines(keepends=True)]
        return [json.loads(line) for line in lines if line.endswith("\n")]


def _told(backend: FakeBackend) -> dict[str, int]:
    return {event["userId"]: event["data"]["totalCount"] for event in backend.events}


def _stored(job: HealthJob) -> dict[str, int]:
    groups = job.database["analytics"].aggregate([{"$group": {"_id": "$userId", "count": {"$sum": 1}}}])
    return {str(group["_id"]): group["count"] for group in groups}


@dataclass
class Milliseconds:
    """How long the batch of one edit took, by what the backend did meanwhile."""

    good: list[float]
    refused: list[float]
    slow: list[float]


def _through_all_troubles(run: Run, backend: FakeBackend, told: int) -> Milliseconds:
    """400, 500, up, 403, down, slow, an edit or two in each; `told` events were sent before."""
    good, refused = [run.edit(), run.edit()], []
    run.wait("sent", told + 2)
    assert {item["operationType"] for item in backend.events[-1]["data"]["analytics"]} == {"update"}
    for status, reason in {400: "bad_request", 500: "server_error"}.items():
        backend.broken = status
        refused.append(run.edit())
        run.wait(reason, 1)
    backend.broken = None
    good.append(run.edit())
    run.wait("sent", told + 3)
    backend.broken = 403
    refused.append(run.edit())
    run.wait("unauthorized", 1)
    backend.down()
    refused.append(run.edit())
    run.wait("unreachable", 1)
    # The next failure is the fifth in a row, and with it the breaker opens.
    backend.broken, backend.delay_seconds = None, 30.0
    backend.up()
    slow = [run.edit(), run.edit()]
    run.wait("timeout", 1)
    assert run.circuit() == "open"
    return Milliseconds(good, refused, slow)


def test_a_backend_in_any_trouble_delays_no_batch_and_everything_is_counted(
    job: HealthJob, backend: FakeBackend
) -> None:
    """Each event ends in exactly one count, and none of them breaks the contract."""
    run = Run(job, backend)
    wait_for(lambda: len(run.batches()) > 0, "the first batch", run.process)
    everybody = _stored(job)
    run.wait("sent", len(everybody))
    assert _told(backend) == everybody
    operations = {item["operationType"] for event in backend.events for item in event["data"]["analytics"]}
    assert operations == {"insert"}

    took = _through_all_troubles(run, backend, len(everybody))
    assert job.stop(run.process) == 0, job.output()

    # Waiting for the backend would add 5 s to both batches at its slowest, and 1.5 s to most others.
    assert min(took.slow) < median(took.good) + 3_500, took
    assert median(took.refused + took.slow) < 3 * median(took.good), took
    assert backend.violations == []
    found = samples(job.folder / "metrics" / "spark_analytics_metrics.prom")
    name = "health_backend_events_total"
    assert {key: value for key, value in found.items() if key.startswith(name)} == {
        f"{name}{{sent}}": len(everybody) + 3,
        f"{name}{{bad_request}}": 1,
        f"{name}{{server_error}}": 1,
        f"{name}{{unauthorized}}": 1,
        f"{name}{{unreachable}}": 1,
        f"{name}{{timeout}}": 1,
        f"{name}{{shutdown}}": 1,
    }
    assert found["health_backend_circuit_open"] == 1
    assert TOKEN not in job.output()
    job.assert_equals_reference()
