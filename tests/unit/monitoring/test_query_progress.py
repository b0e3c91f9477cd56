"""Progress lines and warnings of a streaming query."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from monitoring.query_progress import StreamingMetrics, monitor_query_health


def _progress(batch: int, read: float = 10.0, done: float = 20.0) -> Any:
    return SimpleNamespace(
        batchId=batch,
        numInputRows=10,
        inputRowsPerSecond=read,
        processedRowsPerSecond=done,
        durationMs={"triggerExecution": 500},
        sources=[SimpleNamespace(endOffset='{"t":{"0":7}}')],
    )


def _query(progress: Any = None, active: bool = True, error: Exception | None = None) -> Any:
    return SimpleNamespace(isActive=active, lastProgress=progress, exception=lambda: error)


def test_each_tenth_batch_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """However often it is looked at; with batch, rows, rates, duration and offsets."""
    metrics = StreamingMetrics("matches")
    for batch in range(20):
        for _ in range(3):
            assert monitor_query_health(_query(_progress(batch)), metrics, None)
    lines = [line for line in capsys.readouterr().out.splitlines() if "Query progress: matches" in line]
    assert len(lines) == 2
    assert "batch_id=9" in lines[0]
    assert "batch_duration_ms=500" in lines[0]
    assert '{"t":{"0":7}}' in lines[0]
    found = metrics.get_progress()
    assert found is not None
    assert (found.batch_id, found.num_input_rows, found.input_rows_per_second) == (19, 10, 10.0)


def test_a_query_that_processes_slower_than_it_reads_is_warned_of_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After three batches in a row, until it has caught up again."""
    metrics = StreamingMetrics("matches")
    states = [
        monitor_query_health(_query(_progress(batch, read=100.0, done=50.0)), metrics, None)
        for batch in range(5)
    ]
    assert states == [True, True, False, False, False]
    assert capsys.readouterr().out.count("matches processes slower than it reads: 50 against 100") == 1
    assert monitor_query_health(_query(_progress(6)), metrics, None)


def test_a_backlog_that_grows_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Three times in a row; one that shrinks or stays is none."""
    metrics = StreamingMetrics("players")
    for records in (5, 100, 90, 90, 95, 99):
        assert monitor_query_health(_query(), metrics, records)
    assert not monitor_query_health(_query(), metrics, 120)
    assert "The backlog of players grows: 120 records wait in Kafka" in capsys.readouterr().out


def test_a_dead_query_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """By its name."""
    died = _query(active=False, error=ValueError("x"))
    assert not monitor_query_health(died, StreamingMetrics("players"), None)
    assert "Query players is dead" in capsys.readouterr().out


def test_a_query_that_came_to_its_end_is_not_dead(capsys: pytest.CaptureFixture[str]) -> None:
    """A bounded run ends between two looks."""
    assert monitor_query_health(_query(_progress(0), active=False), StreamingMetrics("players"), None)
    assert "dead" not in capsys.readouterr().out
