"""Rules of the metrics file: the seed's names, valid for Prometheus, right after restarts, never harmful."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import monitoring.metrics
from contracts import BatchReport, WriteResult
from monitoring.metric_registry import MAX_LABELS, MetricRegistry, clear
from monitoring.metrics import Metrics
from retry import RetryPolicy
from tests.support.clock import Clock
from tests.support.monitoring_stack import promtool

START = datetime(2025, 11, 21, 10, 0, tzinfo=timezone.utc)
FILE = "spark_analytics_metrics.prom"
SEED_TYPES = {
    "batches_processed_total": "counter",
    "batches_succeeded_total": "counter",
    "batches_failed_total": "counter",
    "analytics_written_total": "counter",
    "analytics_inserted_total": "counter",
    "analytics_updated_total": "counter",
    "analytics_skipped_total": "counter",
    "records_processed_total": "counter",
    "errors_total": "counter",
    "processing_time_seconds": "gauge",
    "average_processing_time_ms": "gauge",
}
# From the seed's page: the program before this one wrote timestamps, which node_exporter refuses.
SEED_FILE = """\
# HELP batches_processed_total Total number of batches processed
# TYPE batches_processed_total counter
batches_processed_total 42 1732188000000

# HELP analytics_written_total Total number of analytics records written
# TYPE analytics_written_total counter
analytics_written_total 840 1732188000000

# HELP average_processing_time_ms Average processing time per batch in milliseconds
# TYPE average_processing_time_ms gauge
average_processing_time_ms 325.50 1732188000000
"""


def report(ms: int = 450, success: bool = True) -> BatchReport:
    """A batch that ends at START + `ms`."""
    return BatchReport(
        "batch_1",
        START,
        START + timedelta(milliseconds=ms),
        records_processed=50,
        analytics_computed=20,
        writes=WriteResult(inserted=15, updated=5, skipped=3, deleted=2),
        rejected_by_reason={"steps out of range": 2},
        errors=() if success else ("a", "b"),
        success=success,
    )


def samples(path: Path) -> dict[str, float]:
    """Every sample as `name` or `name{value of its label}`."""
    found = {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        for sample in family.samples:
            label = "".join(f"{{{value}}}" for value in sample.labels.values())
            found[sample.name + label] = sample.value
    return found


def lint(path: Path) -> list[str]:
    """The names that `promtool check metrics` complains about."""
    run = promtool("check", "metrics", content=path.read_bytes())
    assert run.returncode in {0, 3}, run.stdout
    return [line.split()[0] for line in run.stdout.splitlines()]


def full(directory: Path, prefix: str = "") -> Metrics:
    """Metrics with every metric present."""
    metrics = Metrics(directory, prefix)
    metrics.streams_every(60)
    metrics.dead_letters(2, START)
    metrics.retried(ConnectionError())
    metrics.observe(report())
    metrics.observe(report(success=False))
    return metrics


def test_the_seeds_names_and_types(tmp_path: Path) -> None:
    """The 11 metrics of the seed, under exactly these names, with help and type."""
    full(tmp_path)
    text = (tmp_path / FILE).read_text(encoding="utf-8")
    for name, kind in SEED_TYPES.items():
        assert f"\n# TYPE {name} {kind}\n{name} " in text
        assert f"# HELP {name} " in text
    others = [line for line in text.splitlines() if line[0] != "#" and line.split()[0] not in SEED_TYPES]
    assert all(line.startswith("health_") for line in others)


def test_the_values_are_sums(tmp_path: Path) -> None:
    """Counters add up over batches; the average is total time over batches, in milliseconds."""
    metrics = Metrics(tmp_path)
    metrics.observe(report(450))
    metrics.observe(report(1200, success=False))
    found = samples(tmp_path / FILE)
    assert {name: found[name] for name in SEED_TYPES} == {
        "batches_processed_total": 2,
        "batches_succeeded_total": 1,
        "batches_failed_total": 1,
        "analytics_written_total": 40,
        "analytics_inserted_total": 30,
        "analytics_updated_total": 10,
        "analytics_skipped_total": 6,
        "records_processed_total": 100,
        # Two values refused in each, and the batch that failed.
        "errors_total": 5,
        "processing_time_seconds": 1.65,
        "average_processing_time_ms": 825,
    }
    assert found["health_analytics_deleted_total"] == 4
    assert found["health_rejected_total{steps out of range}"] == 4


def test_no_timestamps_and_no_created_samples(tmp_path: Path) -> None:
    """node_exporter refuses a file with timestamps; `_created` samples would double every series."""
    full(tmp_path)
    text = (tmp_path / FILE).read_text(encoding="utf-8")
    assert "_created" not in text
    for family in text_string_to_metric_families(text):
        assert all(sample.timestamp is None for sample in family.samples)


@pytest.mark.parametrize(("prefix", "name"), [("", FILE), ("stock", "stock_metrics.prom")])
def test_promtool_accepts_the_file(tmp_path: Path, prefix: str, name: str) -> None:
    """Nothing is flagged but the abbreviated unit that the seed's name prescribes."""
    full(tmp_path, prefix)
    average = f"{prefix}_average_processing_time_ms" if prefix else "average_processing_time_ms"
    assert set(lint(tmp_path / name)) <= {average}


def test_pipelines_share_no_series(tmp_path: Path) -> None:
    """node_exporter serves nothing when two files in its folder hold the same series."""
    full(tmp_path)
    full(tmp_path, "stock")
    health, stock = samples(tmp_path / FILE), samples(tmp_path / "stock_metrics.prom")
    assert not set(health) & set(stock)


def test_the_histogram_is_in_seconds(tmp_path: Path) -> None:
    """A batch counts in every bucket whose bound is not below its duration."""
    metrics = Metrics(tmp_path)
    for ms in (50, 250, 700, 400_000):
        metrics.observe(report(ms))
    found = samples(tmp_path / FILE)
    name = "health_batch_duration_seconds"
    expected = {"0.1": 1, "0.25": 2, "0.5": 2, "1.0": 3, "300.0": 3, "+Inf": 4}
    assert {bound: found[f"{name}_bucket{{{bound}}}"] for bound in expected} == expected
    assert found[f"{name}_count"] == 4
    assert found[f"{name}_sum"] == pytest.approx(401.0)


def test_steps_are_histograms(tmp_path: Path) -> None:
    """Each step of a batch counts under its name, in seconds."""
    metrics = Metrics(tmp_path)
    metrics.observe(replace(report(), steps_ms={"poll": 4.0, "compute": 900.0}))
    metrics.observe(replace(report(), steps_ms={"poll": 30.0}))
    found = samples(tmp_path / FILE)
    name = "health_batch_step_duration_seconds"
    assert found[f"{name}_bucket{{0.005}}{{poll}}"] == 1
    assert found[f"{name}_bucket{{0.1}}{{poll}}"] == 2
    assert found[f"{name}_sum{{poll}}"] == pytest.approx(0.034)
    assert found[f"{name}_count{{compute}}"] == 1
    assert found[f"{name}_bucket{{0.5}}{{compute}}"] == 0


def test_success_and_poll_are_times(tmp_path: Path) -> None:
    """An idle poll is no batch; a batch that succeeds is a poll too."""
    metrics = Metrics(tmp_path)
    metrics.observe(report(2_000))
    metrics.idle(START + timedelta(seconds=52))
    found = samples(tmp_path / FILE)
    assert found["health_last_poll_timestamp_seconds"] == START.timestamp() + 52
    assert found["health_last_success_timestamp_seconds"] == START.timestamp() + 2
    assert found["batches_processed_total"] == 1


def test_a_failed_batch_is_no_success(tmp_path: Path) -> None:
    """It sets no time of a success; before the first success there is none."""
    metrics = Metrics(tmp_path)
    metrics.observe(report(success=False))
    found = samples(tmp_path / FILE)
    assert not [name for name in found if "timestamp" in name]


def test_dead_letters_have_a_number_and_an_age(tmp_path: Path) -> None:
    """The time of the oldest is told while there is one."""
    metrics = Metrics(tmp_path)
    metrics.dead_letters(7, START)
    metrics.write()
    found = samples(tmp_path / FILE)
    assert found["health_dlq_letters"] == 7
    assert found["health_dlq_oldest_letter_timestamp_seconds"] == START.timestamp()
    metrics.dead_letters(0, None)
    metrics.write()
    found = samples(tmp_path / FILE)
    assert found["health_dlq_letters"] == 0
    assert "health_dlq_oldest_letter_timestamp_seconds" not in found


def test_retries_count_by_reason(tmp_path: Path) -> None:
    """The retry policy tells each error before it waits; its type is the reason."""
    metrics = Metrics(tmp_path)
    failures: list[Exception] = [
        ConnectionError("at mongodb://app:hunter2@host"),
        TimeoutError(),
        TimeoutError(),
    ]

    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    RetryPolicy(5, on_retry=metrics.retried).call(work, lambda _: True, lambda _: None)
    metrics.write()
    found = samples(tmp_path / FILE)
    assert found["health_retries_total{TimeoutError}"] == 2
    assert found["health_retries_total{ConnectionError}"] == 1


def test_idle_polls_write_only_every_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may come many times a second. The first writes at once, a batch always; in memory all is new."""
    clock, metrics = Clock(monkeypatch, monitoring.metrics), Metrics(tmp_path)
    probed: list[float] = []
    metrics.add_probe(lambda: probed.append(clock.seconds))
    name = "health_last_poll_timestamp_seconds"
    for second in range(12):
        clock.seconds = second
        metrics.idle(START + timedelta(seconds=second))
        assert samples(tmp_path / FILE)[name] == START.timestamp() + second // 5 * 5
        assert metrics.registry.value(metrics._last_poll) == START.timestamp() + second
    assert probed == [0, 5, 10]
    metrics.observe(report())
    assert probed == [0, 5, 10, 11]


def test_probes_run_before_each_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that fails is warned of once and left out; the others go on."""
    metrics = Metrics(tmp_path)
    gauge = metrics.registry.gauge("probe_calls", "Calls")

    def broken() -> None:
        raise RuntimeError("hunter2")

    metrics.add_probe(broken)
    calls = iter(range(1, 9))
    metrics.add_probe(lambda: gauge.set(next(calls)))
    metrics.write()
    metrics.write()
    assert samples(tmp_path / FILE)["health_probe_calls"] == 2
    assert capsys.readouterr().err.count("RuntimeError") == 1


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """A new process goes on from the file: the next batch gives what one process would have."""
    full(tmp_path / "one").observe(report(70_000))
    full(tmp_path / "two")
    again = Metrics(tmp_path / "two")
    again.streams_every(60)
    again.dead_letters(2, START)
    again.observe(report(70_000))
    assert (tmp_path / "one" / FILE).read_text() == (tmp_path / "two" / FILE).read_text()


def test_the_seeds_own_file_is_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counters of the program before this one go on; its timestamps disappear."""
    (tmp_path / FILE).write_text(SEED_FILE)
    Metrics(tmp_path).observe(report())
    found = samples(tmp_path / FILE)
    assert found["batches_processed_total"] == 43
    assert found["analytics_written_total"] == 860
    assert found["health_batch_duration_seconds_count"] == 1
    assert "1732188000000" not in (tmp_path / FILE).read_text()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"not metrics at all {\n",
        b"batches_processed_total 4",
        b"batches_processed_total -1\n",
        b"batches_processed_total NaN\n",
        b"something_else 4\n",
        b"# TYPE batches_processed_total counter\nbatches_processed_total 9\nerrors_total x\n",
    ],
)
def test_a_corrupt_file_starts_at_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """One warning on standard error, nothing taken from the file, and a valid file afterwards."""
    (tmp_path / FILE).write_bytes(content)
    metrics = Metrics(tmp_path)
    metrics.observe(report())
    metrics.observe(report())
    assert len(capsys.readouterr().err.splitlines()) == 1
    found = samples(tmp_path / FILE)
    assert found["batches_processed_total"] == 2
    assert found["errors_total"] == 4


def test_a_damaged_histogram_is_corrupt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cumulative buckets never decrease."""
    full(tmp_path)
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('_bucket{le="0.5"} 2.0', '_bucket{le="0.5"} 9.0'))
    Metrics(tmp_path).observe(report())
    assert "start at 0" in capsys.readouterr().err
    assert samples(path)["batches_processed_total"] == 1


def test_an_unwritable_folder_costs_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Batches go on; a mended folder holds everything that was counted meanwhile."""
    blocked = tmp_path / "metrics"
    blocked.write_text("a file where the folder should be")
    metrics = Metrics(blocked)
    metrics.observe(report())
    metrics.idle(START)
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "METRICS_DIRECTORY" in error
    blocked.unlink()
    metrics.observe(report())
    assert samples(blocked / FILE)["batches_processed_total"] == 2


def test_other_users_can_read_the_file(tmp_path: Path) -> None:
    """node_exporter runs as another user: 0644 and a folder it can enter, whatever the umask."""
    before = os.umask(0o077)
    try:
        Metrics(tmp_path / "metrics").observe(report())
    finally:
        os.umask(before)
    assert (tmp_path / "metrics" / FILE).stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "metrics").stat().st_mode & 0o777 == 0o755


def test_readers_never_see_a_part(tmp_path: Path) -> None:
    """Every read while batches are counted gives a whole file, and no temporary file is left."""
    metrics = Metrics(tmp_path)
    metrics.observe(report())
    done = threading.Event()
    parts: list[str] = []

    def read() -> None:
        while not done.is_set():
            text = (tmp_path / FILE).read_text(encoding="utf-8")
            if "average_processing_time_ms " not in text or not text.endswith("\n"):
                parts.append(text)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(100):
        metrics.observe(report())
    done.set()
    reader.join()
    assert parts == []
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_failed_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file cannot be replaced the old one stays whole and the temporary one goes."""
    metrics = Metrics(tmp_path)
    metrics.observe(report())

    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", refuse)
    metrics.observe(report())
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert samples(tmp_path / FILE)["batches_processed_total"] == 1


@given(st.lists(st.text(), max_size=8))
def test_any_reason_is_a_valid_label(reasons: list[str]) -> None:
    """Whatever text a reason holds, the file parses and gives the same file when it is gone on from."""
    first = MetricRegistry("health_")
    counter = first.counter("rejected_total", "Rejected", ["reason"])
    first.counter("batches_total", "Batches")
    for reason in reasons:
        first.count(counter, reason)
    second = MetricRegistry("health_")
    again = second.counter("rejected_total", "Rejected", ["reason"])
    second.counter("batches_total", "Batches")
    second.restore(first.render().decode("utf-8"), "health_batches_total")
    assert second.render() == first.render()
    for reason in reasons:
        second.count(again, reason)
        first.count(counter, reason)
    assert second.render() == first.render()


def test_the_number_of_reasons_is_bounded(tmp_path: Path) -> None:
    """Should reasons ever hold values, the series do not grow without end, whatever the restarts."""
    for start in (0, 500):
        reasons = {f"value {number}": 1 for number in range(start, start + 500)}
        Metrics(tmp_path).observe(replace(report(), rejected_by_reason=reasons))
    found = {name: value for name, value in samples(tmp_path / FILE).items() if "rejected" in name}
    assert len(found) == MAX_LABELS + 1
    assert found["health_rejected_total{other}"] == 1_000 - MAX_LABELS


def test_gauges_are_absent_until_they_are_set() -> None:
    """What is not known is not written; only a kept gauge has the value of the earlier process."""
    first = MetricRegistry("x_")
    first.counter("batches_total", "Batches")
    fleeting, kept = first.gauge("fleeting", "F"), first.gauge("kept", "K", kept=True)
    assert b"\nx_kept " not in first.render()
    fleeting.set(3)
    kept.set(4)
    second = MetricRegistry("x_")
    second.counter("batches_total", "Batches")
    second.restore(first.render().decode(), "x_batches_total")
    late = second.gauge("kept", "K", kept=True)
    second.gauge("fleeting", "F")
    assert b"\nx_kept 4.0" in second.render()
    assert b"\nx_fleeting " not in second.render()
    clear(late)
    assert b"\nx_kept " not in second.render()


def test_metrics_made_after_the_restore_go_on_too() -> None:
    """A pipeline adds its own metrics when the file has already been read; other bounds start at 0."""
    first = MetricRegistry("x_")
    first.counter("batches_total", "Batches")
    first.counter("sent_total", "Sent", ["event"]).labels("update").inc(3)
    first.histogram("duration_seconds", "Duration", (1.0, 2.0)).observe(1.5)
    first.histogram("size_bytes", "Size", (1.0, 2.0)).observe(1.5)
    second = MetricRegistry("x_")
    second.restore(first.render().decode(), "x_batches_total")
    second.counter("sent_total", "Sent", ["event"]).labels("update").inc(2)
    second.histogram("duration_seconds", "Duration", (1.0, 2.0)).observe(9)
    second.histogram("size_bytes", "Size", (1.0, 3.0)).observe(2.5)
    text = second.render().decode()
    assert 'x_sent_total{event="update"} 5.0' in text
    assert 'x_duration_seconds_bucket{le="2.0"} 1.0' in text
    assert "x_duration_seconds_count 2.0" in text
    assert "x_duration_seconds_sum 10.5" in text
    assert "x_size_bytes_count 1.0" in text


def test_other_pipelines_count_records(tmp_path: Path) -> None:
    """Behind a prefix the seed's word analytics becomes records: written, inserted, updated, skipped."""
    Metrics(tmp_path, "ecommerce").observe(report())
    found = samples(tmp_path / "ecommerce_metrics.prom")
    assert found["ecommerce_records_processed_total"] == 50
    assert found["ecommerce_records_written_total"] == 20
    assert found["ecommerce_records_inserted_total"] == 15
    assert found["ecommerce_records_updated_total"] == 5
    assert found["ecommerce_records_skipped_total"] == 3
    assert found["ecommerce_rejected_total{steps out of range}"] == 2
    assert not [name for name in found if not name.startswith("ecommerce_") or "analytics" in name]
