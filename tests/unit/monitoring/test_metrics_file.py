"""Two deployments with one METRICS_DIRECTORY: neither goes on from the other's counters, nor hides them."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import pytest

from contracts import BatchReport
from monitoring.metrics import Metrics
from monitoring.metrics_file import IN_USE_SECONDS

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
NAME = "spark_analytics_metrics.prom"
HERE, THERE = "health.analytics@11111111", "other.analytics@22222222"


def _run(folder: Path, owner: str, batches: int) -> None:
    """A process of that deployment."""
    metrics = Metrics(folder, owner=owner)
    for number in range(batches):
        metrics.observe(BatchReport(f"batch_{number}", NOW, NOW))


def _batches(folder: Path) -> float:
    lines = (folder / NAME).read_text().splitlines()
    return float(next(line for line in lines if line.startswith("batches_processed_total ")).split()[1])


def _grow_old(path: Path) -> None:
    then = path.stat().st_mtime - IN_USE_SECONDS - 1
    os.utime(path, (then, then))


def test_a_file_that_another_deployment_writes_now_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told once, with both ways out; the deployment's own file goes on as ever."""
    _run(tmp_path, HERE, 5)
    _run(tmp_path, THERE, 3)
    assert _batches(tmp_path) == 5
    told = capsys.readouterr().err
    assert told.count("METRICS_DIRECTORY") == 1
    assert "of health.analytics, which writes it now" in told
    _run(tmp_path, HERE, 1)
    assert _batches(tmp_path) == 6
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_file_that_nobody_writes_any_more_makes_way_and_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MONGO_DB_NAME was corrected: the counters begin anew, and go on if it is set back."""
    _run(tmp_path, HERE, 5)
    _grow_old(tmp_path / NAME)
    _run(tmp_path, THERE, 3)
    assert _batches(tmp_path) == 3
    assert "was the metrics file of health.analytics" in capsys.readouterr().err
    assert len(list(tmp_path.glob("*.prom"))) == 1, "node_exporter refuses two files of the same series"
    _grow_old(tmp_path / NAME)
    _run(tmp_path, HERE, 1)
    assert _batches(tmp_path) == 6
    _grow_old(tmp_path / NAME)
    _run(tmp_path, THERE, 1)
    assert _batches(tmp_path) == 4


def test_the_file_of_an_earlier_version_is_gone_on_from(tmp_path: Path) -> None:
    """It has no owner."""
    _run(tmp_path, "", 5)
    assert not (tmp_path / NAME).read_text().startswith("# Of")
    _run(tmp_path, HERE, 1)
    assert _batches(tmp_path) == 6
