"""A backlog has the same users on many of its pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import mongomock
from bson import ObjectId

from analytics.health.validation import DayRules
from checkpoint.cursor import FileCursor
from contracts import WriteResult
from pipelines.engine.faults import Faults
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.batch import HealthBatch
from pipelines.health.recompute.on_driver import Recomputed, Step
from retry import RetryPolicy
from sinks.dead_letters import DeadLetters
from sources.health.poll import MongoPoll

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


class _Clock:
    def now(self) -> datetime:
        return NOW


class _Recording:
    """Notes whom it was to recompute."""

    def __init__(self) -> None:
        self.users: list[ObjectId] = []

    def rules(self, now: datetime) -> DayRules:
        return DayRules.at(now, "UTC")

    def run(self, users: Sequence[ObjectId], _batch_id: str, _step: Step) -> Recomputed:
        self.users += users
        return Recomputed(NOW, 0, WriteResult(), 0)


def test_a_user_of_many_pages_is_recomputed_once_unless_a_change_may_have_been_missed(tmp_path: Path) -> None:
    """What changed before the drain is in the history that was read; within the overlap it may not be."""
    source: Any = mongomock.MongoClient()["health"]["healthmetrics"]
    old, fresh = ObjectId(), ObjectId()
    for user, before in ((old, timedelta(hours=1)), (fresh, timedelta(seconds=20))):
        same = {"userId": user, "date": NOW, "source": "manual", "metrics": {}}
        source.insert_many({**same, "updatedAt": NOW - before * part / 5} for part in range(5, 8))
    recompute = _Recording()
    batch = HealthBatch(
        poll=MongoPoll(source, 60, 1),
        recompute=recompute,
        cursor=FileCursor(tmp_path, 30),
        letters=DeadLetters(tmp_path / "dlq"),
        clock=_Clock(),
        retry=RetryPolicy(),
        faults=Faults(""),
        on_report=lambda _report: None,
        overlap_seconds=60,
    )
    assert batch.drain(StopFlag()) == NOW
    assert recompute.users == [old, fresh, fresh, fresh]
