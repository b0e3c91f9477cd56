"""Rules of the batch history: the formats that users parse, and going on without a folder."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from contracts import BatchReport, FailedWrite, WriteResult, ends
from monitoring import batch_history, logs
from monitoring.batch_history import BatchHistory
from monitoring.batch_words import batch_line, render_summary
from monitoring.session_summary import SessionTotals, brief_summary
from tests.support.clock import Clock

START = datetime(2025, 11, 21, 10, 0, 0, 123000, tzinfo=timezone.utc)

# Copied from the seed, character by character.
SEED_SUCCESS = """\
✅ Batch batch_123 completed: 50 records → 20 analytics (450ms)
   📥 Inserts: 15 | 🔄 Updates: 5 | ⏭️  Skipped: 0"""
SEED_FAILURE = """\
❌ Batch batch_124 failed: MongoDB write error
   Records Processed: 50
   Analytics Computed: 20
   Errors: 1
   Processing Time: 1200ms"""
SEED_SUMMARY = """\
================================================================================
📊 BATCH PROCESSING SESSION SUMMARY
================================================================================

⏱️  Session Duration: 3600.00 seconds

📦 Batches:
   Total: 42
   ✅ Succeeded: 40
   ❌ Failed: 2
   Success Rate: 95.2%

📊 Analytics:
   Total Written: 840
   📥 Inserted: 600
   🔄 Updated: 220
   ⏭️  Skipped: 20

📈 Processing:
   Records Processed: 2100
   Total Time: 13680ms
   Average Time: 325.71ms per batch

⚠️  Errors: 2

================================================================================"""
SEED_KEYS = [
    "batch_id", "start_time", "end_time", "processing_time_ms", "records_processed", "analytics_computed",
    "analytics_written", "analytics_inserted", "analytics_updated", "analytics_skipped", "errors_count",
    "errors", "success", "status",
]  # fmt: skip


def report(
    batch_id: str = "batch_123",
    ms: float = 450,
    errors: tuple[str, ...] = (),
    success: bool = True,
    start: datetime = START,
) -> BatchReport:
    """The batch of the seed's example; of a success the `errors` are values that were refused."""
    return BatchReport(
        batch_id,
        start,
        start + timedelta(milliseconds=ms),
        records_processed=50,
        analytics_computed=20,
        writes=WriteResult(inserted=15, updated=5, deleted=2),
        users=3,
        rejected_by_reason={"steps out of range": len(errors)} if success and errors else {},
        records_by_outcome=ends(49, refused=1),
        errors=errors,
        success=success,
        steps_ms={"poll": 12.3456, "write": float("nan")},
    )


def lines(path: Path) -> list[dict[str, object]]:
    """Each line of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_console_lines_of_a_success_are_the_seeds() -> None:
    """A batch without errors reads exactly as in the seed."""
    assert batch_line(report()) == SEED_SUCCESS


def test_the_console_tells_what_was_superseded_or_left_out() -> None:
    """Nobody looks for documents that are not there in a log that says all is well."""
    counts = ends(40, superseded=6, left_out=4)
    told = replace(report(), records_by_outcome=counts, left_out_by_reason={"wearable": 3, "source:x": 1})
    lines_of_it = batch_line(told).splitlines()[2:]
    assert lines_of_it == [
        "   🕰️  Superseded: 6 (a later one of their day)",
        "   Left out: 1 × source:x, 3 × wearable",
    ]


def test_console_lines_of_a_failure_are_the_seeds() -> None:
    """The first error is the headline, on one line whatever it holds."""
    failed = report("batch_124", 1200, ("MongoDB write error\n  at line 3\x1b[2J",), success=False)
    assert batch_line(failed) == SEED_FAILURE


def test_a_failure_without_a_message_says_so() -> None:
    """A failed batch always has a headline."""
    assert batch_line(report(success=False)).startswith("❌ Batch batch_123 failed: unknown error\n")


def test_a_success_with_errors_is_told_from_one_without() -> None:
    """`completed_with_errors` is neither ✅ nor ❌; its first error is shown."""
    first, second, third = batch_line(report(errors=("too large", "x"))).splitlines()
    assert first == "⚠️  Batch batch_123 completed with errors: 50 records → 20 analytics (450ms)"
    assert second == SEED_SUCCESS.splitlines()[1]
    assert third == "   Errors: 2 (2 refused, 0 failed; first: too large)"


@pytest.mark.parametrize("success", [False, True])
def test_an_error_is_masked_before_it_is_cut(success: bool) -> None:
    """The beginning of a password at the cut would no longer be known as one."""
    address = "mongodb://app:c4nary-password@host/"
    for length in (*range(170, 200), *range(470, 500)):
        line = batch_line(report(success=success, errors=("x" * length + address,)))
        assert "c4n" not in line, length


def test_the_log_line_has_the_seeds_keys_first(tmp_path: Path) -> None:
    """The 14 keys in the seed's order, more fields after them; times are ISO 8601 UTC, no errors are null."""
    counts = ends(47, superseded=1, refused=1, left_out=1)
    told = replace(report(), records_by_outcome=counts, left_out_by_reason={"wearable": 1})
    BatchHistory(tmp_path, now=lambda: datetime(2025, 11, 21, 9, tzinfo=timezone.utc)).record(told)
    (entry,) = lines(tmp_path / "batch_logs_20251121.jsonl")
    assert list(entry)[:14] == SEED_KEYS
    assert entry == {
        "batch_id": "batch_123",
        "start_time": "2025-11-21T10:00:00.123000+00:00",
        "end_time": "2025-11-21T10:00:00.573000+00:00",
        "processing_time_ms": 450,
        "records_processed": 50,
        "analytics_computed": 20,
        "analytics_written": 20,
        "analytics_inserted": 15,
        "analytics_updated": 5,
        "analytics_skipped": 0,
        "errors_count": 0,
        "errors": None,
        "success": True,
        "status": "completed",
        "users": 3,
        "analytics_deleted": 2,
        "records_by_outcome": {"written": 47, "duplicate": 0, "superseded": 1, "refused": 1, "left_out": 1},
        "rejected_by_reason": {},
        "left_out_by_reason": {"wearable": 1},
        "steps_ms": {"poll": 12.346, "write": None},
        "error_details": [],
        "session_start": "2025-11-21T09:00:00.000000+00:00",
    }
    assert datetime.fromisoformat(str(entry["start_time"])) == START


def test_each_error_is_told_with_its_time_and_place(tmp_path: Path) -> None:
    """Beside the texts, which readers have; also in the history that is exported."""
    history = BatchHistory(tmp_path, now=lambda: START)
    history.record(replace(report(success=False, errors=("MongoDB is away", "x" * 900)), stream="events"))
    (entry,) = lines(tmp_path / "batch_logs_20251121.jsonl")
    assert entry["errors"] == ["MongoDB is away", "x" * 900]
    time, details = entry["end_time"], {"batch_id": "batch_123", "stream": "events", "last_step": "write"}
    told = [("MongoDB is away", time, details), ("x" * 500, time, details)]
    assert [tuple(detail.values()) for detail in entry["error_details"]] == told  # type: ignore[attr-defined]
    exported = json.loads((history.export() or tmp_path).read_text())
    assert exported["session_metrics"]["session_start"] == entry["session_start"]
    assert exported["batch_history"][0]["error_details"] == entry["error_details"]


@pytest.mark.parametrize(
    ("errors", "success", "status"),
    [((), True, "completed"), (("x",), True, "completed_with_errors"), (("x",), False, "failed")],
)
def test_status_tells_success_with_errors_apart(
    tmp_path: Path, errors: tuple[str, ...], success: bool, status: str
) -> None:
    """`completed_with_errors` is a success; errors are a list when there are any."""
    BatchHistory(tmp_path).record(report(errors=errors, success=success))
    (entry,) = lines(tmp_path / "batch_logs_20251121.jsonl")
    assert (entry["status"], entry["success"], entry["errors"]) == (status, success, list(errors) or None)


def test_the_file_is_that_of_the_utc_day(tmp_path: Path) -> None:
    """The day on which the batch ended, in UTC, whatever the zone of the time given."""
    east = timezone(timedelta(hours=14))
    BatchHistory(tmp_path).record(report(start=datetime(2025, 11, 22, 9, 0, tzinfo=east)))
    BatchHistory(tmp_path).record(
        report(start=datetime(2025, 11, 21, 23, 59, 59, 900000, tzinfo=timezone.utc))
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["batch_logs_20251121.jsonl", "batch_logs_20251122.jsonl"]


def test_other_pipelines_have_files_of_their_own(tmp_path: Path) -> None:
    """Four processes may share the folder; the health pipeline alone has no prefix."""
    history = BatchHistory(tmp_path, "stock", now=lambda: START)
    history.record(report())
    assert history.export() == tmp_path / "stock_batch_history_20251121_100000.json"
    assert (tmp_path / "stock_batch_logs_20251121.jsonl").exists()


def test_a_cut_last_line_spoils_no_other(tmp_path: Path) -> None:
    """After a crash in the middle of a line the next batch starts a line of its own."""
    path = tmp_path / "batch_logs_20251121.jsonl"
    path.write_bytes(b'{"batch_id": "batch_1\xc3')
    BatchHistory(tmp_path).record(report())
    assert json.loads(path.read_bytes().splitlines()[1])["batch_id"] == "batch_123"


def test_a_line_for_which_there_is_no_room_leaves_no_part_of_it(tmp_path: Path) -> None:
    """Every line of the file is JSON, also while the disk is full."""
    history = BatchHistory(tmp_path)
    history.record(report())
    (path,) = tmp_path.iterdir()
    whole, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, limits[1]))
    try:
        history.record(report())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == whole
    history.record(report())
    assert path.read_bytes() == whole * 2


def test_any_error_text_is_one_valid_line(tmp_path: Path) -> None:
    """Line ends, quotes and characters that no encoding has stay inside their JSON string."""
    BatchHistory(tmp_path).record(report(errors=('a\n"b"\u2028\ud800é',)))
    raw = (tmp_path / "batch_logs_20251121.jsonl").read_bytes()
    assert raw.count(b"\n") == 1
    assert json.loads(raw)["errors"] == ['a\n"b"\u2028\ud800é']


def test_the_summary_is_the_seeds() -> None:
    """The seed's numbers give the seed's text."""
    totals = SessionTotals(42, 40, 2, 840, 600, 220, 20, 2100, 2, 13680)
    assert render_summary(totals, 3600.0) == SEED_SUMMARY


def test_the_summary_counts_every_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Totals are plain sums; the duration is that of the session, by a clock that is never set back."""
    clock, history = Clock(monkeypatch, batch_history), BatchHistory(tmp_path)
    history.record(report())
    history.record(report(errors=("a", "b"), ms=550))
    history.record(report(errors=("c",), success=False, ms=500))
    clock.seconds = 60.5
    text = history.summary()
    for line in (
        "Session Duration: 60.50 seconds", "Total: 3", "Succeeded: 2", "Failed: 1", "Success Rate: 66.7%",
        "Total Written: 60", "Inserted: 45", "Updated: 15", "Skipped: 0", "Records Processed: 150",
        "Total Time: 1500ms", "Average Time: 500.00ms per batch", "⚠️  Errors: 3 (2 refused, 1 failed)",
    ):  # fmt: skip
        assert line in text


def test_a_session_without_batches_has_a_summary(tmp_path: Path) -> None:
    """No division by zero, and no errors line where there were none."""
    text = BatchHistory(tmp_path).summary()
    assert "Success Rate: 0.0%" in text
    assert "Average Time: 0.00ms" in text
    assert "Errors" not in text


def test_the_export_holds_totals_and_batches(tmp_path: Path) -> None:
    """`batch_history_YYYYMMDD_HHMMSS.json`; a second export in the same second replaces nothing."""
    history = BatchHistory(tmp_path / "new", now=lambda: START)
    history.record(report())
    first, second = history.export(), history.export()
    assert first == tmp_path / "new" / "batch_history_20251121_100000.json"
    assert second == tmp_path / "new" / "batch_history_20251121_100000_2.json"
    content = json.loads(first.read_text(encoding="utf-8"))
    assert content["session_metrics"]["analytics_written_total"] == 20
    assert content["session_metrics"]["average_processing_time_ms"] == 450
    assert [batch["batch_id"] for batch in content["batch_history"]] == ["batch_123"]
    assert content["exported_at"] == "2025-11-21T10:00:00.123000+00:00"


@pytest.mark.parametrize("act", [lambda h: h.record(report()), lambda h: h.export()])
def test_an_unwritable_folder_costs_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], act: Callable[[BatchHistory], object]
) -> None:
    """Batches go on in memory; standard error tells why once; a mended folder is used."""
    blocked = tmp_path / "logs"
    blocked.write_text("a file where the folder should be")
    history = BatchHistory(blocked)
    act(history)
    history.record(report())
    assert history.export() is None
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "LOG_DIRECTORY" in error
    blocked.unlink()
    history.record(report())
    assert len(lines(blocked / "batch_logs_20251121.jsonl")) == 1
    recorded = json.loads((history.export() or blocked).read_text(encoding="utf-8"))
    assert recorded["session_metrics"]["batches_processed_total"] == len(recorded["batch_history"]) >= 2


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest batches, with few and short errors, stay; the totals cover everything."""
    monkeypatch.setattr(batch_history, "KEPT_BATCHES", 3)
    history = BatchHistory(tmp_path, now=lambda: START)
    huge = tuple(f"{number} {'x' * 5_000}" for number in range(500))
    for number in range(5):
        history.record(report(f"batch_{number}", errors=huge))
    exported = json.loads((history.export() or tmp_path).read_text(encoding="utf-8"))
    kept = exported["batch_history"]
    assert [batch["batch_id"] for batch in kept] == ["batch_2", "batch_3", "batch_4"]
    assert [len(batch["errors"]) for batch in kept] == [10] * 3
    assert max(len(error) for error in kept[0]["errors"]) == 500
    assert exported["session_metrics"]["errors_total"] == 2_500
    (first, *_) = lines(tmp_path / "batch_logs_20251121.jsonl")
    assert first["errors_count"] == 500
    assert len(first["errors"]) == 100  # type: ignore[arg-type]


def test_documents_that_failed_are_not_kept(tmp_path: Path) -> None:
    """A failed document may have 16 MB; neither the log nor the history holds it."""
    document = {"note": "kept nowhere"}
    writes = WriteResult(failed=(FailedWrite(document, "too large"),))
    history = BatchHistory(tmp_path)
    history.record(BatchReport("batch_1", START, START, writes=writes, errors=["too large"]))
    history.export()
    assert not any("kept nowhere" in path.read_text(encoding="utf-8") for path in tmp_path.iterdir())


def test_configured_secrets_are_masked(tmp_path: Path) -> None:
    """The log file uses the secrets that main gave to the logs; addresses are masked without being told."""
    logs._redactor.set_secrets(["s3cr3t"])
    try:
        BatchHistory(tmp_path).record(report(errors=("token s3cr3t refused by mongodb://app:hunter2@db",)))
    finally:
        logs._redactor.set_secrets([])
    (entry,) = lines(tmp_path / "batch_logs_20251121.jsonl")
    assert entry["errors"] == ["token *** refused by mongodb://***:***@db"]


@pytest.mark.parametrize(
    ("totals", "told"),
    [
        (
            SessionTotals(batches=6, records=1353, written=891, rejected=2, corrupt=1, ends=ends(1350)),
            "📊 6 batches in 27 s\n   1,353 changes → 891 results\n   3 values set aside: pulse dlq list",
        ),
        (
            SessionTotals(batches=1, failed=1, records=1, written=1, ends=ends(1, superseded=4)),
            "📊 1 batch (1 failed) in 27 s\n   1 change → 1 result (4 superseded)\n   Nothing was set aside",
        ),
        (SessionTotals(), "📊 0 batches in 27 s\n   0 changes → 0 results\n   Nothing was set aside"),
    ],
)
def test_a_session_is_told_in_three_lines(totals: SessionTotals, told: str) -> None:
    """Batches and time, what came and what it became, what was set aside and how it is listed."""
    assert brief_summary(totals, 27.2, False, "pulse dlq list") == told
