"""The audit on the real server: exact numbers for source against analytics, and for unseen documents."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database
from pyspark.sql import SparkSession

from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import HealthPipeline
from tests.integration.test_any_cutting import METRICS_FILE, pipeline
from tests.unit.monitoring.test_metrics import samples

USERS = [ObjectId(bytes([0, number]) * 6) for number in range(1, 9)]
DAYS = 5
NO_DRIFT = {"missing": 0, "behind": 0, "orphaned": 0, "different": 0}


def days_of(user: ObjectId, updated: datetime, days: int = DAYS, **fields: Any) -> list[dict[str, Any]]:
    """The last days of one user, each with steps and weight."""
    today = updated.replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        {
            "userId": user,
            "date": today - timedelta(days=back),
            "source": "manual",
            "metrics": {"steps": 5_000 + back, "weight": 70},
            "updatedAt": updated,
            **fields,
        }
        for back in range(days)
    ]


@pytest.fixture
def job(spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path) -> HealthPipeline:
    """A pipeline over eight users, changed five minutes ago and not processed yet."""
    updated = datetime.now(timezone.utc) - timedelta(minutes=5)
    database["healthmetrics"].insert_many([one for user in USERS for one in days_of(user, updated)])
    return pipeline(spark, database, tmp_path, page_size=1_000)


def audited(job: HealthPipeline, folder: Path) -> dict[str, float]:
    """An audit now, written to the file, as numbers by the end of their names."""
    job.audit.run(job.clock.now())
    job.reporting.metrics.write()
    found = samples(folder / "metrics" / METRICS_FILE)
    return {
        name.removeprefix("health_").removeprefix("reconciliation_"): value for name, value in found.items()
    }


def drift(found: dict[str, float]) -> dict[str, float]:
    """The users of each kind."""
    return {kind: found[f"drift_users{{{kind}}}"] for kind in NO_DRIFT}


def test_what_was_processed_does_not_drift(job: HealthPipeline, tmp_path: Path) -> None:
    """The first whole poll audits by itself: every user and every day is on both sides."""
    assert job.once(StopFlag())
    found = samples(tmp_path / "metrics" / METRICS_FILE)
    for side in ("source", "analytics"):
        assert found[f"health_reconciliation_users{{{side}}}"] == len(USERS)
        assert found[f"health_reconciliation_sampled_dates{{{side}}}"] == len(USERS) * DAYS * 2
    assert {kind: found[f"health_reconciliation_drift_users{{{kind}}}"] for kind in NO_DRIFT} == NO_DRIFT
    assert found["health_reconciliation_timestamp_seconds"] == pytest.approx(
        job.clock.now().timestamp(), abs=120
    )
    assert found["health_unseen_documents{missing}"] == 0


def test_each_kind_of_drift_is_counted(
    job: HealthPipeline, tmp_path: Path, database: Database[dict[str, Any]]
) -> None:
    """Analytics that are gone, older than a change, of nobody, or of other days than the documents."""
    assert job.once(StopFlag())
    source, target = database["healthmetrics"], database["analytics"]
    target.delete_many({"userId": {"$in": USERS[:2]}})
    old = datetime.now(timezone.utc) - timedelta(days=2)
    target.update_one({"userId": USERS[2], "metricType": "steps"}, {"$set": {"calculatedAt": old}})
    source.delete_many({"userId": USERS[3]})
    # Committed long after its updatedAt, so the poll has read past it and no change tells of it.
    lost = days_of(USERS[4], old, days=1)[0]
    source.insert_one({**lost, "date": lost["date"] - timedelta(days=60)})
    found = audited(job, tmp_path)
    assert drift(found) == {"missing": 2, "behind": 1, "orphaned": 1, "different": 1}
    assert found["users{source}"] == len(USERS) - 1
    assert found["users{analytics}"] == len(USERS) - 2
    assert found["sampled_dates{source}"] == found["sampled_dates{analytics}"] + 2


def test_a_full_pass_mends_what_others_changed_in_a_result(
    job: HealthPipeline, tmp_path: Path, database: Database[dict[str, Any]]
) -> None:
    """Also under the hash of its content, by which a batch takes it for unchanged."""
    assert job.once(StopFlag())
    changed = {"userId": USERS[0], "metricType": "steps", "timeRange": "90day"}
    before = database["analytics"].find_one(changed)
    assert before
    database["analytics"].update_one(changed, {"$set": {"historicalData": []}})
    assert drift(audited(job, tmp_path)) == {**NO_DRIFT, "different": 1}
    job.full.run(StopFlag())
    assert drift(audited(job, tmp_path)) == NO_DRIFT
    after = database["analytics"].find_one(changed)
    assert after
    assert (after["analytics"], after["historicalData"]) == (before["analytics"], before["historicalData"])


def test_what_may_differ_is_no_drift(
    job: HealthPipeline, tmp_path: Path, database: Database[dict[str, Any]]
) -> None:
    """No analytics are due without a value that counts or after 90 days; what changed since comes next."""
    assert job.once(StopFlag())
    now = datetime.now(timezone.utc)
    others = [ObjectId() for _ in range(4)]
    database["healthmetrics"].insert_many(
        [
            *days_of(others[0], now - timedelta(days=1), source="import"),
            *days_of(others[1], now - timedelta(days=1), metrics={"steps": -1}),
            *days_of(others[2], now - timedelta(days=100)),
            *days_of(others[3], now + timedelta(hours=1)),
        ]
    )
    soon = {"$set": {"updatedAt": now + timedelta(hours=1), "metrics.weight": None}}
    database["healthmetrics"].update_many({"userId": USERS[0]}, soon)
    found = audited(job, tmp_path)
    assert drift(found) == NO_DRIFT
    assert found["users{source}"] == len(USERS) + len(others)


def test_unseen_documents_are_counted_by_kind(
    job: HealthPipeline, tmp_path: Path, database: Database[dict[str, Any]]
) -> None:
    """The census' numbers: no date, the wrong type, a day ahead."""
    now = datetime.now(timezone.utc)
    for updated, many in ((None, 3), ("2026-01-01", 2), (now + timedelta(days=3), 4)):
        database["healthmetrics"].insert_many(
            [{"userId": ObjectId(), "updatedAt": updated} for _ in range(many)]
        )
    found = audited(job, tmp_path)
    kinds = ("missing", "wrong_type", "far_future", "unreadable_date")
    assert [found[f"unseen_documents{{{kind}}}"] for kind in kinds] == [3, 2, 4, 0]


def test_an_audit_is_due_once_an_interval_over_restarts(
    job: HealthPipeline, tmp_path: Path, spark: SparkSession, database: Database[dict[str, Any]]
) -> None:
    """The file tells when the last one was, and keeps its numbers."""
    assert job.once(StopFlag())
    database["healthmetrics"].delete_many({"userId": USERS[0]})
    again = pipeline(spark, database, tmp_path, page_size=1_000)
    assert again.once(StopFlag())
    found = samples(tmp_path / "metrics" / METRICS_FILE)
    assert found["health_reconciliation_drift_users{orphaned}"] == 0
    again.audit.run_due(datetime.now(timezone.utc) + timedelta(hours=25))
    again.reporting.metrics.write()
    found = samples(tmp_path / "metrics" / METRICS_FILE)
    assert found["health_reconciliation_drift_users{orphaned}"] == 1
