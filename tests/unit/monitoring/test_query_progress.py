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
    told = (
        "batch_id=19",
        "num_input_rows=10",
        "input_rows_per_second=10.0",
        "processed_rows_per_second=20.0",
    )
    for part in (*told, "batch_duration_ms=500", '{"t":{"0":7}}'):
        assert part in lines[1]


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


@pytest.mark.parametrize("error", [ValueError("x"), None])
def test_a_dead_query_is_told_and_one_that_came_to_its_end_is_not_dead(
    capsys: pytest.CaptureFixture[str], error: Exception | None
) -> None:
    """By its name. A bounded run ends between two looks."""
    ended = _query(_progress(0), active=False, error=error)
    assert monitor_query_health(ended, StreamingMetrics("players"), None) == (error is None)
    assert ("Query players is dead" in capsys.readouterr().out) == (error is not None)
