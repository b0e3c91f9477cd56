"""Who is told of batches is off by default, needs its packages only when it is on, and costs a run little."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from commands.common import guarded
from contracts import BatchReport, FailedWrite, WriteResult
from monitoring.metrics import Metrics
from monitoring.receivers.outbox import Parcel, Receiver
from pipelines.catalog import PIPELINES
from pipelines.ecommerce.demo import demo_settings as ecommerce_demo
from pipelines.engine import receivers as module
from pipelines.engine.faults import Faults
from pipelines.engine.pipeline import Pipeline
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.steps import Steps
from pipelines.esports.demo import demo_settings as esports_demo
from pipelines.health.demo.run import demo_settings as health_demo
from pipelines.stock.demo import demo_settings as stock_demo
from settings import Settings, load
from tests.support.receiver import receiving
from tests.support.waiting import wait_for
from told import EXTRAS

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
DEMOS: dict[str, Callable[[Path], Settings]] = {
    "health": health_demo,
    "ecommerce": lambda folder: ecommerce_demo("postgresql://localhost/demo", folder),
    "esports": esports_demo,
    "stock": stock_demo,
}


def _reporting(one: Pipeline, folder: Path, **more: Any) -> StreamReporting:
    folders = {name: folder / name for name in ("log_directory", "metrics_directory", "dlq_directory")}
    return StreamReporting(one, load(env_file=None, **folders, **more), 10.0)


def _metric(reporting: StreamReporting, pipeline: str) -> str:
    text = reporting.metrics.render().decode()
    return "\n".join(line for line in text.splitlines() if line.startswith(f"{pipeline}_receiver_batches"))


@pytest.mark.parametrize("one", PIPELINES.values(), ids=PIPELINES)
def test_without_an_address_nobody_is_told_and_no_package_is_needed(
    one: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its metric has no value."""
    for package in ("openlineage", "opentelemetry"):
        monkeypatch.setitem(sys.modules, package, None)
    reporting = _reporting(one, tmp_path)
    reporting.tell(BatchReport("1", NOW, NOW))
    assert _metric(reporting, one.name) == ""


@pytest.mark.parametrize(
    ("setting", "package"),
    [("openlineage_url", "openlineage.client"), ("otlp_endpoint", "opentelemetry.exporter")],
)
def test_a_package_that_is_missing_is_one_line_with_what_installs_it(
    setting: str,
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At the start, and not with the first batch of the night."""
    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    given: dict[str, Any] = {setting: "http://127.0.0.1:9"}
    assert guarded(lambda: _reporting(PIPELINES["stock"], tmp_path, **given)) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith(f"❌ {package}")
    assert "pip" in told
    assert EXTRAS[package.partition(".")[0]] in told
    assert "\n" not in told


def test_a_run_that_ends_tells_the_rest_and_waits_no_longer_for_two_than_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of a minute's run too; the metrics file has it. The second time nobody answers."""
    with receiving() as receiver:
        given = {"openlineage_url": receiver.address, "otlp_endpoint": receiver.address}
        reporting = _reporting(PIPELINES["stock"], tmp_path, **given)
        for number in range(3):
            reporting.tell(BatchReport(str(number), NOW, NOW))
        reporting.finish(lambda _line: None)
        assert len(receiver.ended()) == 2
        assert len(receiver.spans) == 3
        text = (tmp_path / "metrics_directory" / "stock_metrics.prom").read_text()
        for one in ("openlineage", "otlp"):
            assert f'stock_receiver_batches_total{{outcome="sent",receiver="{one}"}} 3.0' in text
        receiver.answers.clear()
        monkeypatch.setattr(module, "CLOSE_SECONDS", 1.0)
        began = time.monotonic()
        reporting.tell(BatchReport("4", NOW, NOW))
        reporting.tell(BatchReport("5", NOW, NOW))
        reporting.finish(lambda _line: None)
        assert time.monotonic() - began < 1.9


def test_who_does_not_answer_takes_no_time_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a run each has all of it."""
    monkeypatch.setattr(module, "CLOSE_SECONDS", 1.0)
    with receiving() as deaf, receiving() as good:
        deaf.answers.clear()
        given = {"openlineage_url": deaf.address, "otlp_endpoint": good.address, "openlineage_seconds": 0}
        reporting = _reporting(PIPELINES["stock"], tmp_path, **given)
        for number in range(20):
            reporting.tell(BatchReport(str(number), NOW, NOW))
        reporting.finish(lambda _line: None)
        assert len([span for span in good.spans if not span.parent_span_id]) == 20
        # Those of the first batch, and those of the end.
        assert len(good.metrics) == 2


def test_metrics_are_sent_from_the_start_of_a_stream(tmp_path: Path) -> None:
    """Also of one that has no batch yet."""
    with receiving() as receiver:
        given = {"otlp_endpoint": receiver.address, "otlp_seconds": 0.05, "health_port": 0}
        reporting = _reporting(PIPELINES["esports"], tmp_path, **given)
        with reporting.serving({}):
            wait_for(lambda: receiver.metrics, "the metrics")
        reporting.finish(lambda _line: None)
        assert receiver.spans == []


def test_no_receiver_gets_what_a_record_says(tmp_path: Path) -> None:
    """Neither documents, nor errors that quote them, nor names that they bring along: only counts."""
    told: list[BatchReport] = []

    class Hearing(Receiver):
        label, title, setting, every_seconds = "hearing", "The receiver", "URL", 60.0

        def parcels(self, report: BatchReport) -> list[Parcel]:
            told.append(report)
            return []

        def rest(self, ending: bool) -> list[Parcel]:  # noqa: ARG002 - it has nothing
            return []

        def deliver(self, parcel: Parcel) -> None:
            """Nothing comes."""

    document = {"name": "of a person"}
    writes = WriteResult(1, 2, 3, 4, (FailedWrite(document, "of a person"),), {"insert": (document,)})
    noted = {"of a person": 1}
    whole = BatchReport("1", NOW, NOW, writes=writes, errors=["of a person"], noted=noted)
    receivers = module.Receivers([Hearing()], Metrics(tmp_path, "stock"))
    receivers.tell(replace(whole, left_out_by_reason=noted))
    receivers.close()
    (report,) = told
    assert "of a person" not in repr(report)
    assert (report.writes.written, report.writes.skipped, report.writes.deleted) == (3, 3, 4)


def test_a_run_without_a_batch_sends_its_metrics_at_its_end(tmp_path: Path) -> None:
    """As from cron, when nothing has changed."""
    with receiving() as receiver:
        reporting = _reporting(PIPELINES["esports"], tmp_path, otlp_endpoint=receiver.address)
        reporting.finish(lambda _line: None)
        assert len(receiver.metrics) == 1


def test_a_failed_batch_of_a_part_names_its_stream(tmp_path: Path) -> None:
    """So its job has the failure, and so has its line of the log."""
    with receiving() as receiver:
        reporting = _reporting(PIPELINES["esports"], tmp_path, openlineage_url=receiver.address)
        reporting.begin("players", "7", Steps(Faults(), PIPELINES["esports"].steps))
        reporting.failed("players", RuntimeError("as a server would"))
        reporting.finish(lambda _line: None)
        assert [event.job.name for event in receiver.events] == ["esports.players"] * 2
    (log,) = (tmp_path / "log_directory").glob("esports_batch_logs_*.jsonl")
    assert '"stream": "players"' in log.read_text().replace('":"', '": "')


@pytest.mark.parametrize("name", PIPELINES)
def test_demos_tell_nobody(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of their invented data, whatever the environment says."""
    monkeypatch.setenv("OPENLINEAGE_URL", "http://lineage:5000")
    monkeypatch.setenv("OTLP_ENDPOINT", "http://otlp:4318")
    settings = DEMOS[name](tmp_path)
    assert (settings.openlineage_url, settings.otlp_endpoint) == ("", "")
