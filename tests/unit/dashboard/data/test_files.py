"""The batch log and the metrics file, as the service writes them and as accidents leave them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from contracts import ends
from dashboard.data.batch_logs import MAX_BATCHES, read_batch_log
from dashboard.data.health_data import HealthData
from dashboard.data.metrics_file import read_metrics
from monitoring.batch_history import BatchHistory
from monitoring.batch_words import log_entry
from monitoring.metrics import Metrics
from sources.mongo_client import connect
from tests.support.batches import START, report


def test_batches_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Over midnight, hence from two files; the newest first."""
    history = BatchHistory(tmp_path)
    history.record(report(0, steps_ms={"poll": 1.0, "write": 4.0}))
    history.record(
        report(1, steps_ms={"poll": 3.0}, rejected_by_reason={"not_a_number": 2}, errors=["a", "b"])
    )
    history.record(report(2, success=False, errors=["MongoDB is away"]))
    assert len(list(tmp_path.iterdir())) == 2
    log = read_batch_log(tmp_path)
    assert list(log.batches["batch_id"]) == ["batch_2", "batch_1", "batch_0"]
    assert list(log.batches["status"]) == ["failed", "completed_with_errors", "completed"]
    assert list(log.batches["processing_time_ms"]) == [1500, 1500, 1500]
    assert [message for _, _, message in log.errors] == ["MongoDB is away", "a", "b"]
    assert log.steps_ms == {"poll": 2.0, "write": 4.0}
    assert log.rejected == {"not_a_number": 2}
    assert log.unreadable == 0


def test_lines_that_are_no_batch_are_counted_and_left_out(tmp_path: Path) -> None:
    """A cut line, another program's, a wrong type, nesting without end: the batches around them are shown."""
    good = json.dumps(log_entry(report(1)))
    naive = json.dumps({**log_entry(report(1)), "end_time": "2026-11-25T00:00:00"})
    bad = [good[:50], "null", "[]", '{"batch_id": "x"}', naive, "[" * 100_000, "\xff"]
    content = "\n".join([good, *bad, "", good]).encode("latin-1")
    (tmp_path / "batch_logs_20261125.jsonl").write_bytes(content)
    log = read_batch_log(tmp_path)
    assert len(log.batches) == 2
    assert log.unreadable == len(bad)


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    """A stream that has run for months has a log of gigabytes; the newest 500 batches are enough."""
    path = tmp_path / "batch_logs_20261125.jsonl"
    lines = [json.dumps(log_entry(report(number % 1000))) for number in range(6000)]
    path.write_text("\n".join(lines) + "\n")
    assert path.stat().st_size > 2_000_000
    log = read_batch_log(tmp_path)
    assert len(log.batches) == MAX_BATCHES
    assert log.unreadable == 0


def test_other_files_are_not_read(tmp_path: Path) -> None:
    """Other pipelines' logs, exports and a folder with a log's name."""
    for name in ("stock_batch_logs_20261125.jsonl", "batch_logs_2026.jsonl", "batch_history_1.json"):
        (tmp_path / name).write_text(json.dumps(log_entry(report(1))))
    (tmp_path / "batch_logs_20261124.jsonl").mkdir()
    assert read_batch_log(tmp_path).batches.empty
    assert read_batch_log(tmp_path / "missing").batches.empty


def test_metrics_are_read_as_the_service_writes_them(tmp_path: Path) -> None:
    """The names that the pages ask for are those that are there."""
    metrics = Metrics(tmp_path)
    metrics.observe(report(1, newest_processed=START))
    metrics.idle(START + timedelta(minutes=3))
    read = read_metrics(tmp_path)
    assert read is not None
    for name in ("health_last_poll_timestamp_seconds", "health_last_success_timestamp_seconds"):
        assert read.values[name] >= START.timestamp()
    assert read.values["batches_processed_total"] == 1
    assert read.values["batches_failed_total"] == 0
    assert abs((datetime.now(timezone.utc) - read.written).total_seconds()) < 60


def test_no_metrics_file_is_no_metrics(tmp_path: Path) -> None:
    """Before the first batch there is none."""
    assert read_metrics(tmp_path) is None


@pytest.mark.parametrize("content", [b"health_x{ 1\n", b"\xff\xfe\x00"])
def test_a_broken_metrics_file_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    """What is in it is not shown; the page says that it cannot be read."""
    (tmp_path / "spark_analytics_metrics.prom").write_bytes(content)
    data = HealthData(connect("mongomock://files")["d"]["a"], tmp_path, tmp_path, "UTC")
    loaded = data.metrics()
    assert loaded.value is None
    assert loaded.fault is not None
    assert "not in Prometheus' text format" in loaded.fault


def test_a_log_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    """The page names the setting; what was read before stays."""
    data = HealthData(connect("mongomock://files")["d"]["a"], tmp_path, tmp_path, "UTC")
    # Opens like a file and refuses to be read, for root too.
    (tmp_path / "batch_logs_20261125.jsonl").symlink_to("/proc/self/mem")
    loaded = data.batch_log()
    assert loaded.fault is not None
    assert loaded.fault.startswith("The batch log in LOG_DIRECTORY cannot be read: ")


def test_ends_of_older_logs_are_told_in_todays_words(tmp_path: Path) -> None:
    """A log is kept for ever; before the five ends it had `used`, `not_from_phone` and each reason."""
    history = BatchHistory(tmp_path)
    counts = ends(4, superseded=1, left_out=2)
    history.record(report(1, records_by_outcome=counts, left_out_by_reason={"wearable": 2}))
    (file,) = tmp_path.glob("batch_logs_*.jsonl")
    old = json.loads(file.read_text())
    del old["left_out_by_reason"]
    old["records_by_outcome"] = {"used": 3, "not_from_phone": 1, "future_day": 5, "wrong_type_date": 1}
    with file.open("a") as log:
        log.write(json.dumps(old) + "\n")
    found = read_batch_log(tmp_path)
    assert found.unreadable == 0
    assert found.ends == {"written": 7, "superseded": 1, "refused": 6, "left_out": 3}
    assert found.left_out == {"wearable": 2}
