"""What a pipeline's files tell of its life, as its own reporting writes them."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dashboard.data.service_files import ServiceFiles
from monitoring.batch_history import BatchHistory
from monitoring.metrics import Metrics
from tests.support.batches import report

_NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def _files(prefix: str, folder: Path) -> ServiceFiles:
    return ServiceFiles(prefix, folder, folder, 60.0)


@pytest.mark.parametrize("prefix", ["", "stock"])
def test_the_last_good_batch_and_the_last_look_are_signs(prefix: str, tmp_path: Path) -> None:
    """Of this pipeline alone, whatever others leave beside it; a batch that failed is none."""
    history, metrics = BatchHistory(tmp_path, prefix), Metrics(tmp_path, prefix)
    other = BatchHistory(tmp_path, "esports")
    metrics.streams_every(7.0)
    good = report(1, start_time=_NOW - timedelta(seconds=3), end_time=_NOW)
    later = _NOW + timedelta(minutes=9)
    failed = report(2, start_time=later, end_time=later, success=False)
    for batch in (good, failed):
        history.record(batch)
        metrics.observe(batch)
    other.record(report(3, start_time=later, end_time=later))
    signs = _files(prefix, tmp_path).signs()
    assert (signs.worked, signs.looked, signs.interval_seconds) == (_NOW, _NOW, 7.0)
    metrics.idle(later)
    assert _files(prefix, tmp_path).signs().looked == later


def test_a_pipeline_that_has_just_started_has_written_its_metrics(tmp_path: Path) -> None:
    """It tells nothing but the time of that."""
    Metrics(tmp_path, "stock").write()
    os.utime(tmp_path / "stock_metrics.prom", (_NOW.timestamp(), _NOW.timestamp()))
    signs = _files("stock", tmp_path).signs()
    assert (signs.worked, signs.looked, signs.written) == (None, None, _NOW)
    assert signs.interval_seconds == 60.0


def test_files_that_are_not_there_or_are_garbage_tell_nothing(tmp_path: Path) -> None:
    """No page breaks because of them."""
    nothing = _files("", tmp_path / "nowhere").signs()
    (tmp_path / "spark_analytics_metrics.prom").write_text("{{{")
    (tmp_path / "batch_logs_20260131.jsonl").write_text("{{{\n")
    for signs in (nothing, _files("", tmp_path).signs()):
        assert (signs.worked, signs.looked, signs.written) == (None, None, None)
