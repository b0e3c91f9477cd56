"""What a report says of the batch log is what the log says, whatever else lies in its files."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import BatchReport, ends
from monitoring.batch_history import BatchHistory
from monitoring.report.batch_days import read_days

NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)


def _report(number: int, hours_ago: float, refused: int, success: bool) -> BatchReport:
    end = NOW - timedelta(hours=hours_ago)
    return BatchReport(
        batch_id=str(number),
        start_time=end - timedelta(milliseconds=10 * number),
        end_time=end,
        records_processed=5 + refused,
        records_by_outcome=ends(written=5, refused=refused),
        rejected_by_reason={"corrupt": refused} if refused else {},
        errors=[] if success else ["no answer"],
        success=success,
        steps_ms={"read": 7.0, "write": 3.0},
    )


_BATCHES = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 3), st.booleans()), max_size=12)


@given(_BATCHES, st.sampled_from(["", "stock"]))
def test_the_sums_are_those_of_the_batches_that_ended_in_time(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[float, int, bool]], prefix: str
) -> None:
    """Across days, in any order, beside another pipeline's log."""
    folder = tmp_path_factory.mktemp("logs")
    history, other = BatchHistory(folder, prefix), BatchHistory(folder, "stock" if not prefix else "")
    reports = [_report(number, *given) for number, given in enumerate(batches)]
    for report in reports:
        history.record(report)
        other.record(report)
    found = read_days(folder, prefix, NOW - timedelta(hours=48))
    expected = [report for report in reports if report.end_time >= NOW - timedelta(hours=48)]
    assert found.batches == len(expected)
    assert found.statuses["failed"] == sum(not report.success for report in expected)
    assert found.ends.total() == sum(report.records_processed for report in expected)
    assert found.refused.total() == sum(report.refused for report in expected)
    assert found.steps_ms["read"] == 7 * len(expected)
    assert sorted(found.durations_ms) == sorted(report.processing_time_ms for report in expected)
    assert found.last == max((report.end_time for report in expected), default=None)
    assert found.unreadable == 0
    if expected:
        assert math.isclose(found.quantile(0.5), statistics.median(found.durations_ms))
    assert f"{found.ends.total():,} records = " in found.accounts()


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b'{"end_time": 5}', b'{"end_time": "yesterday"}', b"\xff\xfe", b"[" * 100_000,
     b'{"end_time": "2026-11-29T10:00:00"}', b'{"batch_id": "1"}'],
    ids=["empty", "cut", "list", "null", "number", "text", "bytes", "deep", "no zone", "no end"],
)  # fmt: skip
def test_a_line_that_is_no_batch_is_counted_and_hides_no_other(tmp_path: Path, line: bytes) -> None:
    """Full disks and other programs leave such."""
    BatchHistory(tmp_path).record(_report(1, 1, 0, True))
    with next(tmp_path.glob("batch_logs_*")).open("ab") as file:
        file.write(line + b"\n")
    BatchHistory(tmp_path).record(_report(2, 0.5, 0, True))
    found = read_days(tmp_path, "", NOW - timedelta(days=1))
    assert (found.batches, found.unreadable) == (2, int(bool(line)))


def test_odd_fields_count_nothing(tmp_path: Path) -> None:
    """What is not a number of things is none."""
    odd = {"end_time": NOW.isoformat(), "status": None, "processing_time_ms": "long", "errors": "x",
           "records_by_outcome": {"written": "many", "refused": -3, "duplicate": True, "superseded": 2},
           "rejected_by_reason": [1], "steps_ms": {"read": float("nan")}}  # fmt: skip
    (tmp_path / "batch_logs_20261129.jsonl").write_text(json.dumps(odd) + "\n")
    found = read_days(tmp_path, "", NOW - timedelta(days=1))
    assert found.ends == Counter(superseded=2)
    assert not found.refused
    assert not found.durations_ms
    assert math.isnan(found.quantile(0.5))
