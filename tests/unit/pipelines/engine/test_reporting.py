"""What a stream pipeline tells of its batches, in the words of records."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from contracts import ENDS, BatchReport, UnavailableError, WriteResult, ends
from monitoring.batch_words import stream_line
from pipelines.ecommerce.pipeline import ECOMMERCE
from pipelines.engine import reporting as engine_reporting
from pipelines.engine import steps
from pipelines.engine.faults import Faults
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.stream_batch import Taken, report_of
from settings import load
from tests.support.clock import Clock
from told import told

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def _report(**changes: Any) -> BatchReport:
    fields: dict[str, Any] = {
        "records_processed": 15,
        "writes": WriteResult(inserted=4, skipped=3),
        "rejected_by_reason": {"corrupt": 2, "future_timestamp": 3},
        "left_out_by_reason": {"another shop's": 3},
        "noted": {"status weird": 2},
        "records_by_outcome": ends(4, duplicate=1, superseded=2, refused=5, left_out=3),
    }
    return BatchReport("5", START, START + timedelta(milliseconds=80), **{**fields, **changes})


@pytest.fixture
def reporting(tmp_path: Path) -> StreamReporting:
    """The reporting of a pipeline in a folder of its own."""
    folders = {name: tmp_path / name for name in ("log_directory", "metrics_directory", "dlq_directory")}
    return StreamReporting(ECOMMERCE, load(env_file=None, **folders), 10.0)


def _log(reporting: StreamReporting, folder: Path) -> list[dict[str, Any]]:
    files = (folder / "log_directory").glob("ecommerce_batch_logs_*.jsonl")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_batch_is_one_line_of_the_log_in_which_every_record_is_accounted_for(
    reporting: StreamReporting, tmp_path: Path
) -> None:
    """Corrupt records apart from those that broke a rule."""
    reporting.begin("files", "5", steps.Steps(Faults()))
    reporting.report("files", _report())
    (entry,) = _log(reporting, tmp_path)
    assert {name: entry[name] for name in ("records_processed", "records_written", "duplicates")} == {
        "records_processed": 15,
        "records_written": 4,
        "duplicates": 1,
    }
    assert entry["records_by_outcome"] == {
        "written": 4,
        "duplicate": 1,
        "superseded": 2,
        "refused": 5,
        "left_out": 3,
    }
    assert entry["left_out_by_reason"] == {"another shop's": 3}
    assert (entry["rejected"], entry["corrupt"], entry["status"]) == (3, 2, "completed")
    assert entry["rejected_by_reason"] == {"corrupt": 2, "future_timestamp": 3}
    assert entry["noted"] == {"status weird": 2}


def test_a_record_of_which_nothing_is_known_is_a_bug(reporting: StreamReporting) -> None:
    """Better an error than figures that do not add up."""
    with pytest.raises(AssertionError, match="1 records of batch 5"):
        reporting.report("files", _report(records_processed=16))


def test_a_clock_that_is_set_changes_no_duration(
    reporting: StreamReporting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that failed, one that is told, and how long ago a stream was idle."""
    clock = Clock(monkeypatch, steps)
    reporting.begin("files", "5", steps.Steps(Faults()))
    passed = steps.Steps(Faults())
    monkeypatch.setattr(engine_reporting, "_now", lambda: START + timedelta(days=9999))
    clock.seconds += 2
    reporting.failed("files", ValueError("x"))
    reporting.report("files", report_of(6, Taken(), START, passed))
    assert [entry["processing_time_ms"] for entry in _log(reporting, tmp_path)] == [2000, 2000]
    assert "Total Time: 4000ms" in reporting.history.summary()


def test_metrics_count_written_duplicates_and_reasons(reporting: StreamReporting) -> None:
    """Under the pipeline's name; duplicates are records skipped because the stored one stays."""
    reporting.report("files", _report())
    rendered = reporting.metrics.render().decode()
    assert "ecommerce_records_processed_total 15.0" in rendered
    assert 'ecommerce_noted_total{what="status weird"} 2.0' in rendered
    assert "ecommerce_records_written_total 4.0" in rendered
    assert "ecommerce_records_skipped_total 3.0" in rendered
    assert 'ecommerce_rejected_total{reason="corrupt"} 2.0' in rendered
    assert 'ecommerce_left_out_total{reason="another shop\'s"} 3.0' in rendered
    assert _ends(rendered) == {"written": 4, "duplicate": 1, "superseded": 2, "refused": 5, "left_out": 3}


def _ends(rendered: str) -> dict[str, float]:
    found = re.findall('ecommerce_records_by_outcome_total{outcome="([^"]+)"} ([0-9.]+)', rendered)
    return {end: float(count) for end, count in found}


def test_the_five_ends_are_in_the_metrics_from_the_start(reporting: StreamReporting) -> None:
    """So that Prometheus sees each rise from 0, and nobody asks for one that never happened."""
    assert _ends(reporting.metrics.path.read_text()) == dict.fromkeys(ENDS, 0)


def test_ends_that_an_earlier_version_counted_go_on_under_todays_words(tmp_path: Path) -> None:
    """Its words for them were `rejected`, `corrupt`, and in the health pipeline each reason of its own."""
    settings = load(env_file=None, metrics_directory=tmp_path, log_directory=tmp_path, dlq_directory=tmp_path)
    path = StreamReporting(ECOMMERCE, settings, 10.0).metrics.path
    earlier = {"written": 7, "duplicate": 1, "rejected": 3, "corrupt": 2, "used": 5, "not_from_phone": 4}
    lines = [f'ecommerce_records_by_outcome_total{{outcome="{end}"}} {n}.0' for end, n in earlier.items()]
    kept = [line for line in path.read_text().splitlines() if "by_outcome_total{" not in line]
    path.write_text(
        "\n".join([*kept, *lines, 'ecommerce_records_by_outcome_total{outcome="future_day"} 1', ""])
    )
    rendered = StreamReporting(ECOMMERCE, settings, 10.0).metrics.render().decode()
    assert _ends(rendered) == {"written": 12, "duplicate": 1, "superseded": 0, "refused": 6, "left_out": 4}


def test_the_summary_and_its_export_speak_of_records(reporting: StreamReporting) -> None:
    """What the session did, by what can become of a record."""
    reporting.report("files", _report())
    lines: list[str] = []
    reporting.finish(lines.append)
    words = ("Written: 4", "Duplicates: 1", "Superseded: 2", "Rejected: 3", "Corrupt: 2", "Left out: 3")
    for shown in (*words, "Records Processed: 15"):
        assert shown in lines[0]
    exported = json.loads(Path(lines[1].partition(": ")[2]).read_text())
    assert exported["session_metrics"]["records_written_total"] == 4
    assert exported["session_metrics"]["records_corrupt_total"] == 2
    assert exported["session_metrics"]["records_by_outcome"] == _report().records_by_outcome


def test_the_first_batch_is_told_with_its_step_until_one_has_ended(reporting: StreamReporting) -> None:
    """Also one that failed, and a source without records."""
    assert reporting.first_batch() == "The first batch is planned"
    running = steps.Steps(Faults(), ("read", "stage"))
    reporting.begin("files", "5", running)
    assert reporting.first_batch() == "The first batch: read"
    running.done("read")
    assert reporting.first_batch() == "The first batch: stage"
    assert reporting.first_batch(steps.Steps(Faults(), ("poll",))) == "The first batch: poll"
    reporting.failed("files", OSError("gone"))
    assert reporting.first_batch() is None


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        """Always."""
        return True


def test_on_a_terminal_the_summary_has_three_lines(
    reporting: StreamReporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command for what was set aside, which a demo shows itself."""
    reporting.report("files", _report())
    lines: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", _Terminal())
        reporting.finish(lines.append)
        assert lines[0].splitlines() == [
            "📊 1 batch in 0 s",
            "   15 records → 4 written (1 duplicate, 2 superseded, 3 left out)",
            f"   5 records set aside: {told('ecommerce dlq list')}",
        ]
        reporting.listed_by = ""
        reporting.finish(lines.append)
        assert lines[2].endswith("\n   5 records set aside")


@pytest.mark.parametrize(
    ("terminal", "settings"), [(False, {}), (True, {"whole_summary": True}), (True, {"log_json": True})]
)
def test_elsewhere_and_where_all_is_asked_for_the_summary_is_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool, settings: dict[str, Any]
) -> None:
    """Services, pipes and files have it as ever."""
    folders = {name: tmp_path / name for name in ("log_directory", "metrics_directory", "dlq_directory")}
    reporting = StreamReporting(ECOMMERCE, load(env_file=None, **folders, **settings), 10.0)
    lines: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", _Terminal() if terminal else io.StringIO())
        reporting.finish(lines.append)
    assert "BATCH PROCESSING SESSION SUMMARY" in lines[0]


def test_a_failed_batch_is_told_with_its_id_and_counts_nothing(
    reporting: StreamReporting, tmp_path: Path
) -> None:
    """Its records come again, and must not count twice."""
    reporting.begin("files", "6", steps.Steps(Faults()))
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
    written = {"writes": WriteResult(inserted=200), "records_by_outcome": ends(200)}
    plain = _report(records_processed=200, rejected_by_reason={}, left_out_by_reason={}, noted={}, **written)
    assert stream_line(plain) == "✅ Batch 5: Processed 200 records, inserted 200 in 0.08s"
    full = stream_line(_report())
    assert "Batch 5: found 2 corrupt records" in full
    assert "Rejected: 3 (3 × future_timestamp)" in full
    assert "Duplicates: 1" in full
    assert "Superseded: 2" in full
    assert "Left out: 3 × another shop's" in full
    failed = stream_line(_report(success=False, errors=["no answer\nfrom the server"]))
    assert failed == "❌ Batch 5 failed after 0.08s: no answer"


def test_a_folder_of_letters_that_cannot_be_read_is_told_once_and_counts_nothing(
    reporting: StreamReporting, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said that no letter waits. Once the folder is back the number is."""
    folder = tmp_path / "dlq_directory"
    folder.write_text("a file")
    for _ in range(2):
        reporting.metrics.write()
    assert b"\necommerce_dlq_letters " not in reporting.metrics.render()
    told = "".join(capsys.readouterr())
    assert told.count(f"{folder}, cannot be read") == 1
    folder.unlink()
    reporting.metrics.write()
    assert b"\necommerce_dlq_letters 0" in reporting.metrics.render()
    folder.write_text("a file")
    reporting.metrics.write()
    assert f"{folder}, cannot be read" in "".join(capsys.readouterr())
