"""Where the health pipeline keeps things: its database and its cursor, opened from Settings."""

from __future__ import annotations

from typing import Any

from checkpoint.cursor import FileCursor
from checkpoint.mongo_cursor import MongoCursor
from checkpoint.store import CheckpointStore
from contracts import ConfigurationError
from contracts.health import CHECKPOINT_COLLECTION
from monitoring.logs import get_logger
from pipelines.health.recompute.task_plan import TaskPlan
from settings import Settings
from sinks.dead_letters import Owner
from sources.mongo_client import MonotonicClock, ServerClock, connect, hosts_of, is_mongomock, passed_over

logger = get_logger(__name__)


def open_database(settings: Settings) -> tuple[Any, MonotonicClock]:
    """Open the database and the server's clock, and ask that once. pymongo's errors pass."""
    client = connect_to(settings)
    if odd := passed_over(settings.mongo_uri.get_secret_value(), settings.mongo_db_name, "MONGO_DB_NAME"):
        logger.warning(odd)
    clock = MonotonicClock(ServerClock(client))
    clock.now()
    return client[settings.mongo_db_name], clock


def owner(settings: Settings) -> Owner:
    """Who owns the letters and the metrics: the collection in which the results lie."""
    name = f"{settings.mongo_db_name}.{settings.analytics_collection}"
    return Owner.of(name, hosts_of(settings.mongo_uri.get_secret_value()))


def open_cursor(settings: Settings) -> CheckpointStore:
    """The cursor of this pipeline where CURSOR_STORE says.

    Raises ConfigurationError when that is MongoDB and MONGO_URI names the embedded store.
    """
    if settings.cursor_store == "file":
        return FileCursor(settings.checkpoint_location, settings.default_lookback_days)
    client = connect_to(settings)
    if is_mongomock(client):
        raise ConfigurationError("CURSOR_STORE=mongo needs a real server; the embedded store keeps nothing.")
    return MongoCursor(
        client[settings.mongo_db_name][CHECKPOINT_COLLECTION],
        f"health:{settings.analytics_collection}",
        settings.default_lookback_days,
        settings.cursor_lease_seconds,
    )


def task_plan(settings: Settings) -> TaskPlan:
    """How tasks on the executors reach the same stores."""
    return TaskPlan(
        uri=settings.mongo_uri.get_secret_value(),
        timeout_ms=_timeout_ms(settings),
        timezone=settings.analytics_timezone,
        sources=settings.sources_of_phones,
        partition_users=settings.executor_partition_users,
    )


def connect_to(settings: Settings) -> Any:
    """A client of the server that the settings name; see `connect`."""
    return connect(settings.mongo_uri.get_secret_value(), _timeout_ms(settings))


def _timeout_ms(settings: Settings) -> int:
    return max(1, round(settings.mongo_timeout_seconds * 1000))
