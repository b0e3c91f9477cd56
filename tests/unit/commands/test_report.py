"""`pulse report`: a verdict, sums that add up, and nobody's data, for every pipeline."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from commands.report import report
from contracts import BatchReport, ConfigurationError, Rejected, ends
from monitoring.batch_history import BatchHistory
from pipelines.catalog import PIPELINES
from pipelines.engine.pipeline import Pipeline
from settings import load
from sinks.stream_letters import RejectedRecord, as_letters

NOW = datetime.now(timezone.utc)
_WORD = "hunter2"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with settings that hold a secret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URI", f"mongodb://app:{_WORD}@127.0.0.1:1/")
    monkeypatch.setenv("POSTGRES_DSN", f"postgresql://app:{_WORD}@127.0.0.1:1/shop")
    return tmp_path


@pytest.mark.parametrize("one", PIPELINES.values(), ids=list(PIPELINES))
def test_a_report_answers_whether_all_is_well_and_holds_nobodys_data(one: Pipeline, place: Path) -> None:
    """What was refused is there by rule, with the shape of an example."""
    _run(one, success=True)
    report(one.name)
    text = (place / f"{one.name}-report.html").read_text()
    assert "1 batch, 0 failed; 1 dead letter waits." in text
    assert 'class="verdict good"' in text
    assert "4 records = 3 written + 0 duplicate + 0 superseded + 1 refused + 0 left out" in text
    assert "not_a_number" in text
    assert "Ann-Sophie" not in text
    assert "xxx-xxxxxx" in text.lower()
    assert _WORD not in text
    assert "LOG_DIRECTORY" not in text.split("Settings that are not the defaults")[1]
    assert len(text) < 1_000_000


@pytest.mark.parametrize("one", PIPELINES.values(), ids=list(PIPELINES))
def test_a_pipeline_that_failed_last_or_never_ran_is_not_called_well(one: Pipeline, place: Path) -> None:
    """The first words say so."""
    report(one.name, output=place / "none.html")
    assert "No batch ended in this time" in (place / "none.html").read_text()
    _run(one, success=False)
    report(one.name, output=place / "failed.html")
    text = (place / "failed.html").read_text()
    assert 'class="verdict bad"' in text
    assert "and failed. 1 batch, 1 failed" in text
    assert "no answer from " in text
    assert _WORD not in text


def test_a_place_that_cannot_be_written_is_one_line(place: Path) -> None:
    """With what to do."""
    (place / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"^The report cannot be written: .*write --output\.$"):
        report(output=place / "file" / "r.html")


def _run(one: Pipeline, success: bool) -> None:
    settings = load()
    history = BatchHistory(settings.log_directory, one.name if one.prefixed else "")
    history.record(
        BatchReport(
            batch_id="7",
            start_time=NOW - timedelta(minutes=5),
            end_time=NOW - timedelta(minutes=4),
            records_processed=4,
            records_by_outcome=ends(written=3, refused=1),
            rejected_by_reason={"not_a_number": 1},
            errors=["1 × not_a_number" if success else f"no answer from app:{_WORD}@10.0.0.1"],
            success=success,
            steps_ms={"read": 50.0, "write": 150.0},
        )
    )
    if one.letters_are_of_users:
        record = {"_id": 1, "userId": 2, "metrics": {"steps": "Ann-Sophie"}}
        refused = [Rejected(record, "not_a_number", "metrics.steps")]
    else:
        refused = [*as_letters([RejectedRecord("not_a_number", "file.csv", 3, b"1,Ann-Sophie")], "line")]
    one.open_letters(settings).store(refused, "7", NOW)
