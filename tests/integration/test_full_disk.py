"""Full disks: the checkpoint and the dead letters stop the batch, logs and metrics do not; all recover."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pyspark.sql import SparkSession

from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.ticker import Ticker
from pipelines.health.job import HealthPipeline
from retry import RetryPolicy
from tests.integration.test_any_cutting import pipeline
from tests.support.compare import assert_same_analytics
from tests.support.missing import missing
from tests.support.reference import reference_analytics
from tests.support.small_disk import SmallDisk, mounted
from tests.support.strategies import new_id, random_documents


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A real small file system; only root may mount one."""
    try:
        with mounted(tmp_path / "disk") as small:
            yield small
    except PermissionError as error:
        missing(f"this machine lets nobody mount a file system for a test: {error}")


@pytest.fixture
def documents(database: Database[dict[str, Any]]) -> list[dict[str, Any]]:
    """Some users' days, with bad values among them, all changed a minute ago."""
    rng, now = random.Random(3), datetime.now(timezone.utc).replace(microsecond=0)
    found = random_documents(rng, [new_id(rng) for _ in range(3)], 12, now.date())
    for document in found:
        document["updatedAt"] = now - timedelta(seconds=90)
    database["healthmetrics"].insert_many(found)
    return found


def _assert_equals_reference(database: Database[dict[str, Any]], documents: list[dict[str, Any]]) -> None:
    today = datetime.now(timezone.utc).date()
    expected = reference_analytics(documents, "UTC", today)
    assert expected
    assert_same_analytics(list(database["analytics"].find()), expected)


def _fails_naming(job: HealthPipeline, setting: str) -> None:
    assert job.batch.drain(StopFlag()) is None
    (error,) = job.reporting.history.recent()[-1]["errors"]
    assert setting in error
    assert "Traceback" not in error


@pytest.mark.parametrize("at", ["before the batch", "before the cursor is saved"])
def test_a_full_checkpoint_folder_holds_the_batch_until_there_is_space(
    spark: SparkSession,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    disk: SmallDisk,
    documents: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    """Nothing is marked done, the old cursor stays readable, nothing half-written lies there."""
    checkpoints = disk.folder / "checkpoints"
    job = pipeline(spark, database, tmp_path, checkpoint_location=checkpoints)
    job.cursor.set(datetime(2026, 1, 1, tzinfo=timezone.utc), datetime.now(timezone.utc))
    before = (checkpoints / "last_processed_timestamp.txt").read_bytes()
    if at == "before the batch":
        disk.fill()
    else:
        monkeypatch.setattr(job.letters.letters, "store", lambda *_: disk.fill())
    _fails_naming(job, "CHECKPOINT_LOCATION")
    assert (checkpoints / "last_processed_timestamp.txt").read_bytes() == before
    assert not list(checkpoints.glob(".*.tmp"))
    monkeypatch.undo()
    disk.free()
    assert job.batch.drain(StopFlag()) is not None
    assert (checkpoints / "last_processed_timestamp.txt").read_bytes() > before
    _assert_equals_reference(database, documents)


def test_a_full_dead_letter_folder_holds_the_batch_until_there_is_space(
    spark: SparkSession,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    disk: SmallDisk,
    documents: list[dict[str, Any]],
) -> None:
    """A letter that cannot be stored is never dropped: the cursor waits for it."""
    job = pipeline(spark, database, tmp_path, dlq_directory=disk.folder / "dlq")
    disk.fill()
    _fails_naming(job, "DLQ_DIRECTORY")
    assert not (tmp_path / "checkpoints" / "last_processed_timestamp.txt").exists()
    disk.free()
    assert job.batch.drain(StopFlag()) is not None
    rejected = job.reporting.history.recent()[-1]["rejected_by_reason"]
    assert sum(rejected.values()) == len(list((disk.folder / "dlq").glob("analytics_dlq_*.json"))) > 0
    assert not list((disk.folder / "dlq").glob("*.tmp"))
    _assert_equals_reference(database, documents)


def test_full_log_and_metrics_folders_cost_one_warning_each(
    spark: SparkSession,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    disk: SmallDisk,
    documents: list[dict[str, Any]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Batches go on; what was counted meanwhile is in the files once there is space."""
    disk.fill()
    job = pipeline(
        spark,
        database,
        tmp_path,
        log_directory=disk.folder / "logs",
        metrics_directory=disk.folder / "metrics",
    )
    for _ in range(3):
        job.cursor.reset()
        job.batch.poll.forget()
        assert job.batch.drain(StopFlag()) is not None
    told = capfd.readouterr().err
    assert told.count("LOG_DIRECTORY") == 1
    assert told.count("METRICS_DIRECTORY") == 1
    _assert_equals_reference(database, documents)
    disk.free()
    job.cursor.reset()
    job.batch.poll.forget()
    assert job.batch.drain(StopFlag()) is not None
    metrics = (disk.folder / "metrics" / "spark_analytics_metrics.prom").read_text()
    assert "\nbatches_processed_total 4.0" in metrics
    assert len(next((disk.folder / "logs").glob("batch_logs_*.jsonl")).read_text().splitlines()) == 1


def test_a_full_disk_for_sparks_own_files_only_pauses_the_rhythm(
    spark: SparkSession, disk: SmallDisk
) -> None:
    """The rate stream cannot write its offsets and dies; it is started again until there is space."""
    stop, ticks = StopFlag(), []
    pauses: list[int] = []

    class Patience(RetryPolicy):
        def pause(self, failures: int) -> float:
            pauses.append(failures)
            if len(pauses) == 2:
                disk.free()
            return 0.05

    def work() -> None:
        ticks.append(1)
        # Each start throws the old files away, which frees a little.
        if len(pauses) < 2:
            disk.fill()
        else:
            stop.set()

    Ticker(spark, disk.folder / "ticker", 0.2, work, Patience()).run(stop)
    assert len(pauses) >= 2
    assert len(ticks) >= 3
