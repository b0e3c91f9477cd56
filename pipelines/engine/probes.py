"""What the health endpoints answer about a running job, and the server that answers."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from contracts import DeadLetterError
from monitoring.batch_history import BatchHistory
from monitoring.logs import get_logger
from monitoring.metrics import Metrics
from monitoring.probe_server import Answer, Branches, HealthServer, Request
from monitoring.run_state import RunState
from settings import Settings
from sinks.dead_letters import DeadLetters

# However often they are asked, probes cost the database one ping in this time, and the disk one look.
PING_EVERY_SECONDS = 2.0
LETTERS_EVERY_SECONDS = 5.0
EXAMINED_LETTERS = 200
# Those that the pipeline's batches have.
_BATCH_FIELDS = (
    "batch_id",
    "status",
    "end_time",
    "processing_time_ms",
    "records_processed",
    "analytics_written",
    "records_written",
    "duplicates",
    "rejected",
    "corrupt",
    "records_by_outcome",
    "errors_count",
)
# Without `escaping=`, which old Prometheus servers do not know.
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

T = TypeVar("T")
logger = get_logger(__name__)


class Cached(Generic[T]):
    """A value that is asked for at most once in `seconds`; callers meanwhile wait for the one who asks."""

    def __init__(self, ask: Callable[[], T], seconds: float) -> None:
        self._ask = ask
        self._seconds = seconds
        self._lock = threading.Lock()
        self._known: tuple[T, float] | None = None

    def __call__(self) -> T:
        """The value, at most `seconds` old. Raises what asking raises."""
        with self._lock:
            if self._known is None or time.monotonic() - self._known[1] >= self._seconds:
                value = self._ask()
                self._known = (value, time.monotonic())
            return self._known[0]


@dataclass(kw_only=True)
class HealthEndpoints:
    """The bodies of docs/health-endpoints.md, made from the parts of one job.

    `dependencies` are pings by name: quick, and raising when there is no answer. `events` has the fields that
    tell of the notices of new results. `letters_api` answers what begins with /letters.
    """

    pipeline: str
    state: RunState
    metrics: Metrics
    history: BatchHistory
    letters: DeadLetters
    dependencies: Mapping[str, Callable[[], object]]
    events: Callable[[], Mapping[str, Any]]
    letters_api: Callable[[Request], Answer] | None = None

    def __post_init__(self) -> None:
        self._answers = {
            name: Cached(_answers(ping), PING_EVERY_SECONDS) for name, ping in self.dependencies.items()
        }
        self._queue = Cached(self._examine_letters, LETTERS_EVERY_SECONDS)

    def by_path(self) -> dict[str, Callable[[], Answer]]:
        """Every path and who answers it."""
        return {
            "/health": lambda: Answer.of_json(self._overview(), self._status()),
            "/health/detailed": self._detailed,
            "/health/dlq": lambda: Answer.of_json(self._queue()),
            "/health/ready": lambda: _judged(self._reasons(), "ready", "degraded"),
            "/health/live": lambda: _judged(self.state.stall_reasons(), "alive", "stalled"),
            "/metrics": lambda: Answer(HTTPStatus.OK, self.metrics.render(), _METRICS_TYPE),
        }

    def branches(self) -> Branches:
        """What has paths below it, by its first part."""
        return {"/letters": self.letters_api} if self.letters_api else {}

    def _detailed(self) -> Answer:
        newest = self.history.newest()
        body = {
            **self._overview(),
            "dependencies": {name: answers() for name, answers in self._answers.items()},
            "last_batch": newest and {name: newest[name] for name in _BATCH_FIELDS if name in newest},
            "dead_letters": self._queue()["letters"],
            "events": self.events(),
        }
        return Answer.of_json(body, self._status())

    def _status(self) -> HTTPStatus:
        """Stale results are no reason to restart anything, so only a standstill is an error here."""
        return HTTPStatus.SERVICE_UNAVAILABLE if self.state.stall_reasons() else HTTPStatus.OK

    def _overview(self) -> dict[str, Any]:
        reasons = self._reasons()
        return {
            "status": "stalled" if self.state.stall_reasons() else "degraded" if reasons else "healthy",
            "reasons": reasons,
            "pipeline": self.pipeline,
            "uptime_seconds": round(self.state.uptime_seconds, 1),
            **self._session(),
        }

    def _session(self) -> dict[str, Any]:
        """The sums since the start, under the names that earlier programs had for them."""
        totals, newest = self.history.totals(), self.history.newest()
        return {
            "start_time": self.history.started_at,
            "batches_processed": totals.batches,
            "records_processed": totals.records,
            "errors_count": totals.errors,
            "last_batch_id": newest and newest["batch_id"],
            "last_processed_at": newest and newest["end_time"],
        }

    def _reasons(self) -> list[str]:
        away = [f"{name} does not answer" for name, answers in self._answers.items() if not answers()]
        return [*self.state.stall_reasons(), *self.state.stale_reasons(), *away]

    def _examine_letters(self) -> dict[str, Any]:
        try:
            waiting, oldest = self.letters.waiting()
            letters = self.letters.newest(EXAMINED_LETTERS)
        except DeadLetterError:
            return {"letters": None, "reason": "the folder of the dead letters cannot be read"}
        damaged = min(waiting, EXAMINED_LETTERS) - len(letters)
        return {
            "letters": waiting,
            "oldest": oldest,
            "newest": letters[-1].time if letters else None,
            "examined": len(letters),
            "parked": sum(letter.parked for letter in letters),
            "by_reason": dict(Counter(letter.reason for letter in letters).most_common()),
            **({"damaged": damaged} if damaged else {}),
        }


@contextmanager
def serving(endpoints: HealthEndpoints, settings: Settings) -> Iterator[None]:
    """Answer inside the block, unless HEALTH_PORT is 0.

    A port that is taken costs one warning: batches matter more than probes.
    """
    if settings.health_port == 0:
        yield
        return
    where = f"{settings.health_host}:{settings.health_port}"
    try:
        host, port = settings.health_host, settings.health_port
        server = HealthServer(host, port, endpoints.by_path(), endpoints.branches())
    except OSError as error:
        logger.warning(
            f"The health endpoints cannot be served on {where} ({error.strerror or type(error).__name__}); "
            "the job goes on without them. Give each job on this machine its own HEALTH_PORT, or 0 for none."
        )
        yield
        return
    server.start()
    logger.info(f"🩺 Health endpoints: http://{where}/health")
    try:
        yield
    finally:
        server.close()


def _answers(ping: Callable[[], object]) -> Callable[[], bool]:
    def answers() -> bool:
        try:
            ping()
        except Exception:  # noqa: BLE001 - drivers raise what they like; no answer is no answer
            return False
        return True

    return answers


def _judged(reasons: list[str], good: str, bad: str) -> Answer:
    if reasons:
        return Answer.of_json({"status": bad, "reasons": reasons}, HTTPStatus.SERVICE_UNAVAILABLE)
    return Answer.of_json({"status": good, "reasons": []})
