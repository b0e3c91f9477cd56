"""What a stream pipeline tells of its batches, in the words of records."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from contracts import BatchReport, UnavailableError, WriteResult
from monitoring.stream_history import stream_line
from pipelines.stream_reporting import StreamReporting
from settings import load

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def _report(**changes: Any) -> BatchReport:
    fields: dict[str, Any] = {
        "records_processed": 10,
        "writes": WriteResult(inserted=4, skipped=1),
        "rejected_by_reason": {"corrupt": 2, "future_timestamp": 3},
    }
    return BatchReport("5", START, START + timedelta(milliseconds=80), **{**fields, **changes})


@pytest.fixture
def reporting(tmp_path: Path) -> StreamReporting:
    """The reporting of a pipeline in a folder of its own."""
    folders = {name: tmp_path / name for name in ("log_directory", "metrics_directory", "dlq_directory")}
    return StreamReporting("ecommerce", load(env_file=None, **folders), 10.0)


def _log(reporting: StreamReporting, folder: Path) -> list[dict[str, Any]]:
    files = (folder / "log_directory").glob("ecommerce_batch_logs_*.jsonl")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_batch_is_one_line_of_the_log_in_which_every_record_is_accounted_for(
    reporting: StreamReporting, tmp_path: Path
) -> None:
    """Corrupt records apart from those that broke a rule."""
    reporting.begin("files", "5")
    reporting.report("files", _report())
    (entry,) = _log(reporting, tmp_path)
    assert {name: entry[name] for name in ("records_processed", "records_written", "duplicates")} == {
        "records_processed": 10,
        "records_written": 4,
        "duplicates": 1,
    }
    assert (entry["rejected"], entry["corrupt"], entry["status"]) == (3, 2, "completed")
    assert entry["rejected_by_reason"] == {"corrupt": 2, "future_timestamp": 3}


def test_a_record_of_which_nothing_is_known_is_a_bug(reporting: StreamReporting) -> None:
    """Better an error than figures that do not add up."""
    with pytest.raises(AssertionError, match="1 records of batch 5"):
        reporting.report("files", _report(records_processed=11))


def test_metrics_count_written_duplicates_and_reasons(reporting: StreamReporting) -> None:
    """Under the pipeline's name; duplicates are records skipped because the stored one stays."""
    reporting.report("files", _report())
    rendered = reporting.metrics.render().decode()
    assert "ecommerce_records_processed_total 10.0" in rendered
    assert "ecommerce_records_written_total 4.0" in rendered
    assert "ecommerce_records_skipped_total 1.0" in rendered
    assert 'ecommerce_rejected_total{reason="corrupt"} 2.0' in rendered
    outcomes = re.findall('ecommerce_records_by_outcome_total{outcome="([a-z]+)"} ([0-9.]+)', rendered)
    assert dict(outcomes) == {"written": "4.0", "duplicate": "1.0", "rejected": "3.0", "corrupt": "2.0"}


def test_the_summary_and_its_export_speak_of_records(reporting: StreamReporting) -> None:
    """What the session did, by the four things that can become of a record."""
    reporting.report("files", _report())
    lines: list[str] = []
    reporting.finish(lines.append)
    for shown in ("Written: 4", "Duplicates: 1", "Rejected: 3", "Corrupt: 2", "Records Processed: 10"):
        assert shown in lines[0]
    exported = json.loads(Path(lines[1].partition(": ")[2]).read_text())
    assert exported["session_metrics"]["records_written_total"] == 4
    assert exported["session_metrics"]["records_corrupt_total"] == 2


def test_a_failed_batch_is_told_with_its_id_and_counts_nothing(
    reporting: StreamReporting, tmp_path: Path
) -> None:
    """Its records come again, and must not count twice."""
    reporting.begin("files", "6")
    reporting.failed("files", UnavailableError("PostgreSQL does not answer."))
    (entry,) = _log(reporting, tmp_path)
    assert (entry["batch_id"], entry["success"], entry["records_processed"]) == ("6", False, 0)
    assert entry["errors"] == ["PostgreSQL does not answer."]
    assert reporting.state.stale_reasons()


def test_a_source_read_to_its_end_makes_the_job_ready(reporting: StreamReporting) -> None:
    """A stream without new data runs no batch, and is fresh all the same."""
    assert reporting.state.stale_reasons()
    reporting.idle("files")
    assert not reporting.state.stale_reasons()
    assert "ecommerce_last_poll_timestamp_seconds" in reporting.metrics.render().decode()


def test_the_console_line_tells_the_seeds_figures() -> None:
    """`Batch 5: Processed 200 records, inserted 200 in 0.08s`, and more only where there is more."""
    plain = _report(records_processed=200, writes=WriteResult(inserted=200), rejected_by_reason={})
    assert stream_line(plain) == "✅ Batch 5: Processed 200 records, inserted 200 in 0.08s"
    full = stream_line(_report())
    assert "Batch 5: found 2 corrupt records" in full
    assert "Rejected: 3 (3 × future_timestamp)" in full
    assert "Duplicates: 1" in full
    failed = stream_line(_report(success=False, errors=["no answer\nfrom the server"]))
    assert failed == "❌ Batch 5 failed after 0.08s: no answer"
