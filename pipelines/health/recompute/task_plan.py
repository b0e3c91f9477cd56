"""What the driver tells the tasks on the executors, the same for every batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.health_metrics import METRICS, Metric


@dataclass(frozen=True)
class TaskPlan:
    """How a task reaches MongoDB, and which documents count on which day.

    A task has `partition_users` users. `timezone` and `sources` are those of DayRules, `anew` is that of
    NewerWins; `metrics` is the catalogue in use. `uri` may hold a password: it is kept from every text and
    never is a setting of Spark's.
    """

    uri: str = field(repr=False)
    timeout_ms: int
    timezone: str
    sources: tuple[str, ...]
    partition_users: int
    anew: bool = False
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS.current)
