"""Everything the health pages show, each part with its age; the pages ask nothing else for data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timezone
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from bson import ObjectId

from contracts import effects
from contracts.effects import LeastEffect
from contracts.health import PHONE_SOURCES
from contracts.health_metrics import METRICS
from dashboard.data.batch_logs import BatchLog, read_batch_log
from dashboard.data.database import FAULTS, AnalyticsCollection, explain
from dashboard.data.metrics_file import ServiceMetrics, read_metrics
from dashboard.data.recent import Recent, read_recent
from dashboard.data.remembered import Loaded, Remembered
from dashboard.data.user import UserResults, read_user
from dashboard.data.waiting import Evidence, Waiting, explain_source, read_evidence, read_waiting

# How old a page may be; the reads behind Recent cost some hundred milliseconds on a large collection.
RECENT_SECONDS = 30.0
USER_SECONDS = 10.0
FILES_SECONDS = 5.0


class HealthData:
    """Reads of the analytics collection, the batch log and the metrics file, remembered for all sessions."""

    def __init__(
        self,
        collection: AnalyticsCollection,
        log_directory: Path,
        metrics_directory: Path,
        zone: str,
        source: AnalyticsCollection | None = None,
        phones: tuple[str, ...] = PHONE_SOURCES,
        least: Mapping[str, LeastEffect] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        """`zone` is the IANA name whose calendar days the service counts, `phones` the sources that do.

        `source` is healthmetrics, which it may be unable to read; `least` has the effects that are told;
        `now` is the time by this machine's clock, aware.
        """
        self.timezone = zone
        self.now = now
        self.phones = phones
        self.least = least or effects.parse("", METRICS)
        self._source = source
        self._raw = Remembered(explain_source, FAULTS)
        self.log_directory = log_directory
        self._collection = collection
        self._metrics_directory = metrics_directory
        self._database = Remembered(explain, FAULTS)
        self._logs = Remembered(partial(_explain_file, "The batch log in LOG_DIRECTORY"), (OSError,))
        self._metrics = Remembered(
            partial(_explain_file, "The metrics file in METRICS_DIRECTORY"), (OSError, ValueError)
        )

    def today(self) -> date:
        """The calendar day that the service counts now."""
        return self.now().astimezone(ZoneInfo(self.timezone)).date()

    def recent(self) -> Loaded[Recent]:
        """The newest results of all users."""
        return self._database.get("recent", lambda: read_recent(self._collection), RECENT_SECONDS)

    def user(self, user: str) -> Loaded[UserResults]:
        """The results of one user."""
        return self._database.get(f"user {user}", lambda: read_user(self._collection, user), USER_SECONDS)

    def waiting(self) -> Loaded[Waiting | None]:
        """Who waits to be computed; None where it cannot be looked up by an index."""
        source = self._source
        if source is None:
            return Loaded(None, None)
        return self._raw.get("waiting", lambda: read_waiting(source, self._collection), RECENT_SECONDS)

    def evidence(self, user: ObjectId, metric: str, time_range: str) -> Loaded[Evidence | None]:
        """What a result of `user` is explained by; None where it cannot be read by an index."""
        source = self._source
        if source is None:
            return Loaded(None, None)
        return self._raw.get(
            f"evidence {user} {metric} {time_range}",
            lambda: read_evidence(source, self._collection, user, metric, time_range),
            USER_SECONDS,
        )

    def batch_log(self) -> Loaded[BatchLog]:
        """The newest batches."""
        return self._logs.get("logs", lambda: read_batch_log(self.log_directory), FILES_SECONDS)

    def metrics(self) -> Loaded[ServiceMetrics | None]:
        """The service's own measurements."""
        return self._metrics.get("metrics", lambda: read_metrics(self._metrics_directory), FILES_SECONDS)


def _explain_file(what: str, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{what} cannot be read: {error.strerror or type(error).__name__}."
    return f"{what} is not in Prometheus' text format; the next batch writes a new one."
