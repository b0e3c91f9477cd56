"""Rules of the metrics file: the seed's names, valid for Prometheus, right after restarts, never harmful."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from contracts import BatchReport, WriteResult
from monitoring.metrics import Metrics
from monitoring.metrics_state import GAUGES, MetricsState

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


def report(ms: int = 450, success: bool = True, newest: datetime | None = None) -> BatchReport:
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
        newest_processed=newest,
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
    """The names that `promtool check metrics` complains about; without promtool, only whether it parses."""
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is missing: in CI install it (apt-get install prometheus)")
        samples(path)
        return []
    with path.open("rb") as content:
        run = subprocess.run(
            [promtool, "check", "metrics"], stdin=content, capture_output=True, text=True, check=False
        )
    assert run.returncode in {0, 3}, run.stderr
    return [line.split()[0] for line in (run.stdout + run.stderr).splitlines()]


def full(directory: Path, prefix: str = "") -> Metrics:
    """Metrics with every metric present."""
    metrics = Metrics(directory, prefix)
    for name in GAUGES:
        metrics.set_gauge(name, 1)
    metrics.observe(report(newest=START))
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
        "errors_total": 2,
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


def test_lag_is_server_time_minus_the_newest_processed(tmp_path: Path) -> None:
    """Late documents do not move the newest back; a clock behind it gives 0; idle polls update it."""
    metrics = Metrics(tmp_path)
    metrics.observe(report(2_000, newest=START - timedelta(seconds=8)))
    assert samples(tmp_path / FILE)["health_poll_lag_seconds"] == 10
    metrics.observe(report(2_000, newest=START - timedelta(seconds=50)))
    assert samples(tmp_path / FILE)["health_poll_lag_seconds"] == 10
    metrics.idle(START + timedelta(seconds=52))
    found = samples(tmp_path / FILE)
    assert found["health_poll_lag_seconds"] == 60
    assert found["health_last_poll_timestamp_seconds"] == START.timestamp() + 52
    assert found["health_last_success_timestamp_seconds"] == START.timestamp() + 2
    metrics.idle(START - timedelta(seconds=60))
    assert samples(tmp_path / FILE)["health_poll_lag_seconds"] == 0


def test_a_failed_batch_is_no_success(tmp_path: Path) -> None:
    """Its time and documents set no gauge of success; before the first success those are absent."""
    metrics = Metrics(tmp_path)
    metrics.observe(report(success=False, newest=START))
    found = samples(tmp_path / FILE)
    assert not [name for name in found if "timestamp" in name or "lag" in name]


def test_gauges_are_set_by_name(tmp_path: Path) -> None:
    """The number of dead letters is told from outside; a name that is not there is a mistake."""
    metrics = Metrics(tmp_path)
    metrics.set_gauge("dlq_letters", 7)
    metrics.write()
    assert samples(tmp_path / FILE)["health_dlq_letters"] == 7
    with pytest.raises(KeyError):
        metrics.set_gauge("dlq_leters", 7)


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """A new process goes on from the file: the next batch gives what one process would have."""
    full(tmp_path / "one").observe(report(70_000))
    full(tmp_path / "two")
    Metrics(tmp_path / "two").observe(report(70_000))
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
    assert found["errors_total"] == 0


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
    """Whatever text a reason holds, the file parses and gives the same state when it is read back."""
    state = MetricsState("", "health_")
    for reason in reasons:
        state.add(
            BatchReport("b", START, START, rejected_by_reason={reason: 1}, writes=WriteResult(inserted=1))
        )

    class Source:
        def collect(self) -> object:
            return state.families()

    registry = CollectorRegistry()
    registry.register(Source())  # type: ignore[arg-type]
    again = MetricsState("", "health_")
    again.restore(generate_latest(registry).decode("utf-8"))
    assert again == state
    assert sum(again.rejected.values()) == len(reasons)


def test_the_number_of_reasons_is_bounded() -> None:
    """Should reasons ever hold values, the series do not grow without end."""
    state = MetricsState("", "health_")
    reasons = {f"value {number}": 1 for number in range(1_000)}
    state.add(BatchReport("b", START, START, rejected_by_reason=reasons))
    assert len(state.rejected) == 101
    assert state.rejected["other"] == 900
