"""What a pipeline tells of its batches adds up, and has the same names in every system."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from contracts import ENDS
from pipelines.engine.faults import Faults
from tests.contract.systems import System

# What a line of the batch log has in every system.
_FIELDS = {
    "batch_id", "start_time", "end_time", "processing_time_ms", "records_processed", "errors_count", "errors",
    "success", "status", "records_by_outcome", "rejected_by_reason", "left_out_by_reason", "steps_ms",
    "error_details", "session_start",
}  # fmt: skip
# What the metrics file has of every system once a record was refused. The units are in the names.
_METRICS = {
    "batches_processed_total", "batches_succeeded_total", "batches_failed_total", "records_processed_total",
    "errors_total", "processing_time_seconds", "average_processing_time_ms", "rejected_total{reason}",
    "records_by_outcome_total{outcome}", "batch_duration_seconds_bucket{le}", "batch_duration_seconds_count",
    "batch_duration_seconds_sum", "batch_step_duration_seconds_bucket{le,step}",
    "batch_step_duration_seconds_count{step}", "batch_step_duration_seconds_sum{step}",
    "last_poll_timestamp_seconds", "last_success_timestamp_seconds", "dlq_letters",
    "dlq_oldest_letter_timestamp_seconds", "jvm_gc_seconds_total", "jvm_heap_max_bytes",
    "jvm_heap_used_bytes", "jvm_threads",
}  # fmt: skip


def test_the_ends_of_the_records_add_up_in_log_metrics_and_letters(system: System) -> None:
    """Good, refused and, where content is known, repeated ones, in two batches."""
    known = [3, 3, 4] if system.knows_content else []
    came = system.send(range(20), [1000, 1001, 1002])
    assert system.run()
    came += system.send([*range(20, 30), *known], [1004])
    assert system.run()
    log = system.log()
    ends: Counter[str] = Counter()
    for entry in log:
        assert tuple(entry["records_by_outcome"]) == ENDS
        assert sum(entry["records_by_outcome"].values()) == entry["records_processed"]
        assert sum(entry["rejected_by_reason"].values()) == entry["records_by_outcome"]["refused"]
        assert sum(entry["left_out_by_reason"].values()) == entry["records_by_outcome"]["left_out"]
        # Things, not kinds of them.
        assert entry["errors_count"] == entry["records_by_outcome"]["refused"]
        ends.update(entry["records_by_outcome"])
    written = len(system.written()) + system.others
    assert ends == {
        "written": written, "duplicate": len(known), "superseded": 0, "refused": 4, "left_out": 0,
    }  # fmt: skip
    assert ends.total() == came
    assert system.refused().total() == 4
    _assert_counted(system, came, ends)
    system.check()


def _assert_counted(system: System, came: int, ends: Counter[str]) -> None:
    log, metrics = system.log(), system.metrics()
    assert {end: metrics[f"records_by_outcome_total{{outcome={end}}}"] for end in ENDS} == ends
    assert metrics["records_processed_total"] == came
    assert metrics["batches_processed_total"] == metrics["batches_succeeded_total"] == len(log) == 2
    assert metrics["batches_failed_total"] == 0
    assert metrics["errors_total"] == sum(entry["errors_count"] for entry in log)
    reasons: Counter[str] = Counter()
    for entry in log:
        reasons.update(entry["rejected_by_reason"])
    assert {reason: metrics[f"rejected_total{{reason={reason}}}"] for reason in reasons} == reasons
    assert sum(value for name, value in metrics.items() if name.startswith("rejected_total")) == 4
    assert metrics["dlq_letters"] == len(system.letters())
    for step in {step for entry in log for step in entry["steps_ms"]}:
        assert metrics[f"batch_step_duration_seconds_count{{step={step}}}"] == 2


def test_log_fields_and_metrics_have_the_same_names_in_every_system(system: System) -> None:
    """But for those that its adaptor lists; the steps are its own, and add up to the time of the batch."""
    system.send(range(5), [1000])
    assert system.run()
    (entry,) = system.log()
    assert set(entry) ^ _FIELDS == set(system.own_fields)
    # `report` ends after the line is written.
    assert list(entry["steps_ms"]) == [step for step in system.steps if step != "report"]
    left = entry["processing_time_ms"] - sum(entry["steps_ms"].values())
    assert -1 <= left <= 50
    assert {_named(name) for name in system.metrics()} ^ _METRICS == set(system.own_metrics)


def test_a_failed_batch_shows_how_long_it_was_in_the_step_that_failed(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In log and metrics, and its steps too add up to its time."""
    reach, failed = Faults.reach, list[str]()
    died_in = system.steps[system.steps.index("dead_letters") + 1]

    def die_later(faults: Faults, step: str) -> None:
        reach(faults, step)
        if step == "dead_letters" and not failed:
            failed.append(step)
            time.sleep(0.5)
            raise RuntimeError("as a server would")

    monkeypatch.setattr(Faults, "reach", die_later)
    system.send(range(5), [1000])
    assert system.run()
    first, second = system.log()
    assert [first["success"], second["success"]] == [False, True]
    assert first["steps_ms"][died_in] >= 500
    assert list(first["steps_ms"]) == list(system.steps[: system.steps.index(died_in) + 1])
    left = first["processing_time_ms"] - sum(first["steps_ms"].values())
    assert -1 <= left <= 50
    assert system.metrics()[f"batch_step_duration_seconds_count{{step={died_in}}}"] == 2


def _named(sample: str) -> str:
    """The name of a sample and those of its labels."""
    name, brace, labels = sample.rstrip("}").partition("{")
    names = ",".join(label.partition("=")[0] for label in labels.split(",")) if brace else ""
    return f"{name}{{{names}}}" if names else name
