"""What the endpoints say: the rules of ready, live and health, their costs, one warning for a taken port."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from structlog.testing import capture_logs

from contracts import BatchReport, Rejected
from monitoring import run_state
from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from monitoring.probe_server import HealthServer
from monitoring.run_state import STALL_SECONDS, RunState
from pipelines.engine import probes
from pipelines.engine.probes import EXAMINED_LETTERS, Cached, HealthEndpoints, serving
from settings import load
from sinks.dead_letters import DeadLetters
from tests.support.clock import Clock

NOW = datetime(2025, 7, 1, 12, tzinfo=timezone.utc)


class Bench:
    """A job whose database answers or not."""

    def __init__(self, folder: Path) -> None:
        self.state = RunState(10)
        self.metrics = Metrics(folder / "metrics")
        self.history = BatchHistory(folder / "logs")
        self.letters = DeadLetters(folder / "dlq", max_attempts=1)
        self.away = False
        self.pings = 0
        self.endpoints = HealthEndpoints(
            pipeline="health",
            state=self.state,
            metrics=self.metrics,
            history=self.history,
            letters=self.letters,
            dependencies={"MongoDB": self._ping},
            events=lambda: {"enabled": False},
        )

    def _ping(self) -> None:
        self.pings += 1
        if self.away:
            raise ConnectionError("mongodb://app:hunter2@host is away")

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        answer = self.endpoints.by_path()[path]()
        return int(answer.status), json.loads(answer.content)

    def batch(self, succeeded: bool = True) -> None:
        """One batch from begin to end."""
        self.state.begin()
        self.history.record(BatchReport("batch_1", NOW, NOW, records_processed=5, success=succeeded))
        self.state.end(succeeded)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """When it is for the job, not for what is cached."""
    return Clock(monkeypatch, run_state)


@pytest.fixture
def bench(tmp_path: Path, now: Clock) -> Bench:
    """Started, and no batch yet."""
    return Bench(tmp_path)


def test_ready_needs_a_fresh_success_and_the_database(bench: Bench, now: Clock, tmp_path: Path) -> None:
    """503 with every reason otherwise, `degraded` named; live all the while."""
    assert bench.ask("/health/ready") == (
        503,
        {"status": "degraded", "reasons": ["no batch has succeeded yet"]},
    )
    bench.batch()
    assert bench.ask("/health/ready") == (200, {"status": "ready", "reasons": []})
    away = Bench(tmp_path)
    away.away = True
    away.batch()
    now.seconds += 31
    status, body = away.ask("/health/ready")
    assert (status, body["status"]) == (503, "degraded")
    assert body["reasons"] == ["no batch succeeded for 31 s, allowed are 30 s", "MongoDB does not answer"]
    assert away.ask("/health/live") == (200, {"status": "alive", "reasons": []})
    assert "hunter2" not in str([away.ask(path) for path in ("/health", "/health/detailed")])


def test_health_is_an_error_only_when_the_job_stands_still(bench: Bench, now: Clock) -> None:
    """Degraded is no reason to restart anything; stalled is."""
    assert bench.ask("/health")[0] == 200
    assert bench.ask("/health")[1]["status"] == "degraded"
    bench.batch()
    body = bench.ask("/health")[1]
    assert datetime.fromisoformat(body.pop("start_time")) == bench.history.started_at
    assert body == {
        "status": "healthy", "reasons": [], "pipeline": "health", "uptime_seconds": 0.0,
        "batches_processed": 1, "records_processed": 5, "errors_count": 0,
        "last_batch_id": "batch_1", "last_processed_at": NOW.isoformat(timespec="microseconds"),
    }  # fmt: skip
    now.seconds += STALL_SECONDS + 11
    assert bench.ask("/health/live")[0] == 503
    assert bench.ask("/health/live")[1]["status"] == "stalled"
    assert bench.ask("/health/ready")[0] == 503
    assert (bench.ask("/health")[0], bench.ask("/health")[1]["status"]) == (503, "stalled")


def test_detailed_shows_the_last_batch_and_every_part(bench: Bench) -> None:
    """Without a batch, null."""
    assert bench.ask("/health/detailed")[1]["last_batch"] is None
    bench.batch()
    status, body = bench.ask("/health/detailed")
    assert status == 200
    assert body["last_batch"]["batch_id"] == "batch_1"
    assert body["last_batch"]["records_processed"] == 5
    assert body["dependencies"] == {"MongoDB": True}
    assert body["dead_letters"] == 0
    assert body["events"] == {"enabled": False}


def test_dlq_tells_numbers_and_reasons_but_nobodys_data(bench: Bench) -> None:
    """However many letters there are, only the newest are opened."""
    assert bench.ask("/health/dlq")[1]["letters"] == 0
    documents = [{"_id": number, "userId": "somebody", "secret": 1} for number in range(EXAMINED_LETTERS)]
    bench.letters.store([Rejected(document, "not_a_number", "steps") for document in documents], "b", NOW)
    later = NOW.replace(hour=13)
    bench.letters.store([Rejected(document, "out_of_range") for document in documents[:50]], "b", later)
    bench.letters.record_attempt(bench.letters.list()[-1], later)
    fresh = Bench(Path(bench.letters.directory).parent)
    status, body = fresh.ask("/health/dlq")
    assert status == 200
    assert body == {
        "letters": EXAMINED_LETTERS + 50, "oldest": NOW.isoformat(), "newest": later.isoformat(),
        "examined": EXAMINED_LETTERS, "parked": 1,
        "by_reason": {"not_a_number": EXAMINED_LETTERS - 50, "out_of_range": 50},
    }  # fmt: skip


def test_probes_cannot_load_the_database(bench: Bench) -> None:
    """A hundred probes at once are one ping."""
    threads = [threading.Thread(target=bench.ask, args=("/health/ready",)) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.pings == 1


def test_a_cached_value_is_asked_for_again_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a failure to ask is not kept."""
    clock, answers = Clock(monkeypatch, probes), iter([1, 2, None, 3])

    def ask() -> int:
        answer = next(answers)
        if answer is None:
            raise ConnectionError
        return answer

    cached = Cached(ask, 5)
    assert [cached(), cached()] == [1, 1]
    clock.seconds += 5
    assert cached() == 2
    clock.seconds += 5
    with pytest.raises(ConnectionError):
        cached()
    assert cached() == 3


def test_metrics_are_those_of_the_file(bench: Bench) -> None:
    """With the type that every Prometheus server knows."""
    bench.metrics.observe(BatchReport("batch_1", NOW, NOW, records_processed=5))
    answer = bench.endpoints.by_path()["/metrics"]()
    assert answer.content == bench.metrics.path.read_bytes()
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"


def test_a_taken_port_is_one_warning_that_names_the_setting(bench: Bench) -> None:
    """The job goes on without endpoints: batches matter more."""
    taken = HealthServer("127.0.0.1", 0, {})
    settings = load(env_file=None, health_port=taken.port)
    with capture_logs() as logs, serving(bench.endpoints, settings):
        pass
    (warning,) = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert "HEALTH_PORT" in warning
    taken.close()


def test_it_serves_inside_the_block_alone(bench: Bench) -> None:
    """And with HEALTH_PORT=0 not at all."""
    free = HealthServer("127.0.0.1", 0, {})
    port = free.port
    free.close()
    with serving(bench.endpoints, load(env_file=None, health_port=port)):
        answer = requests.get(f"http://127.0.0.1:{port}/health/live", timeout=20)
        assert answer.json() == {"status": "alive", "reasons": []}
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/health/live", timeout=20)
    threads = threading.active_count()
    with serving(bench.endpoints, load(env_file=None, health_port=0)):
        assert threading.active_count() == threads


def test_damaged_letters_and_a_folder_that_cannot_be_read_are_told(bench: Bench) -> None:
    """Neither is an empty queue, nor an endpoint that fails."""
    bench.letters.store([Rejected({"_id": 1}, "odd")], "b", NOW)
    [path] = bench.letters.directory.iterdir()
    path.write_text("{")
    _, body = bench.ask("/health/dlq")
    assert (body["letters"], body["examined"], body["damaged"]) == (1, 0, 1)
    path.unlink()
    bench.letters.directory.rmdir()
    bench.letters.directory.write_text("a file")
    fresh = Bench(bench.letters.directory.parent)
    status, body = fresh.ask("/health/dlq")
    assert (status, body["letters"]) == (200, None)
    assert "cannot be read" in body["reason"]
    assert fresh.ask("/health/detailed")[1]["dead_letters"] is None
