"""Lag, backlog and lateness of a real pipeline on the real server, as the metrics file tells them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database
from pyspark.sql import SparkSession

from pipelines.engine.stop_flag import StopFlag
from tests.integration.test_any_cutting import METRICS_FILE, pipeline
from tests.unit.monitoring.test_metrics import samples

USER = ObjectId("65a000000000000000000001")


def change(updated: datetime, back: int) -> dict[str, Any]:
    """One day of the user, changed at `updated`."""
    day = updated.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=back)
    return {
        "userId": USER,
        "date": day,
        "source": "manual",
        "metrics": {"steps": 5_000},
        "updatedAt": updated,
    }


def test_backlog_lag_and_lateness_are_exact(
    spark: SparkSession, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    """A stopped pass leaves exactly the rest; lag counts from the newest; a late commit counts once."""
    now = datetime.now(timezone.utc).replace(microsecond=0)
    begin = now - timedelta(minutes=10)
    source = database["healthmetrics"]
    source.insert_many([change(begin + timedelta(seconds=number), number) for number in range(35)])
    job = pipeline(spark, database, tmp_path, page_size=10)
    file = tmp_path / "metrics" / METRICS_FILE
    stop = StopFlag()
    stop.set()
    assert job.once(stop)
    found = samples(file)
    # A page is a range of time that holds at most ten.
    done = int(found["records_processed_total"])
    assert 1 <= done <= 10
    assert found["health_backlog_documents"] == 35 - done
    assert found["health_batch_stale_users"] == 1
    newest = (begin + timedelta(seconds=done - 1)).timestamp()
    assert found["health_newest_processed_timestamp_seconds"] == newest
    ended = found["health_last_success_timestamp_seconds"]
    assert found["health_poll_lag_seconds"] == pytest.approx(ended - newest, abs=0.01)

    assert job.once(StopFlag())
    found = samples(file)
    assert found["health_backlog_documents"] == 0
    assert found["records_processed_total"] == 35
    assert found["health_commit_lateness_seconds_count"] == 0

    read_to = found["health_last_poll_timestamp_seconds"]
    late = begin + timedelta(seconds=14, milliseconds=250)
    source.insert_one(change(late, 50))
    assert job.once(StopFlag())
    found = samples(file)
    assert found["health_commit_lateness_seconds_count"] == 1
    assert found["health_commit_lateness_seconds_sum"] == pytest.approx(read_to - late.timestamp(), abs=0.01)
    assert found["health_newest_processed_timestamp_seconds"] == (begin + timedelta(seconds=34)).timestamp()
