"""Rules of the metrics of a poll: what lag, lateness and backlog mean, and that they are exact."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from pymongo.errors import AutoReconnect

from contracts import BatchReport
from monitoring import metrics
from monitoring.health import poll_metrics
from monitoring.health.poll_metrics import PollMetrics
from monitoring.metrics import Metrics
from pipelines.engine import due
from pipelines.health.upkeep import writers_clocks
from sources.health.census import Ahead
from tests.support.clock import Clock
from tests.unit.monitoring.test_metrics import FILE, START, report, samples


class Bench:
    """The metrics of a poll."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = Metrics(folder)
        self.poll = PollMetrics(self.metrics, 60)

    def batch(self, batch: BatchReport) -> dict[str, float]:
        """Observe one batch and read the file."""
        self.poll.observe(batch)
        self.metrics.observe(batch)
        return samples(self.folder / FILE)

    def idle(self, now: datetime) -> dict[str, float]:
        """An idle poll, and the file after it."""
        self.poll.idle(now)
        self.metrics.idle(now)
        return samples(self.folder / FILE)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """It stands until it is moved; each idle poll writes."""
    monkeypatch.setattr(metrics, "IDLE_SECONDS", 0)
    return Clock(monkeypatch, due, poll_metrics)


@pytest.fixture
def bench(tmp_path: Path, clock: Clock) -> Bench:
    """Metrics in an empty folder."""
    return Bench(tmp_path)


def test_lag_is_server_time_minus_the_newest_processed(bench: Bench) -> None:
    """Late documents do not move the newest back; a clock behind it gives 0; idle polls update it."""
    newest = START - timedelta(seconds=8)
    assert bench.batch(replace(report(2_000), newest_processed=newest))["health_poll_lag_seconds"] == 10
    older = START - timedelta(seconds=50)
    assert bench.batch(replace(report(2_000), newest_processed=older))["health_poll_lag_seconds"] == 10
    found = bench.idle(START + timedelta(seconds=52))
    assert found["health_poll_lag_seconds"] == 60
    assert found["health_newest_processed_timestamp_seconds"] == newest.timestamp()
    assert bench.idle(START - timedelta(seconds=60))["health_poll_lag_seconds"] == 0


def test_a_failed_batch_has_no_newest(bench: Bench) -> None:
    """Nothing of it was processed, so there is no lag yet."""
    found = bench.batch(report(success=False))
    assert "health_poll_lag_seconds" not in found
    assert "health_newest_processed_timestamp_seconds" not in found


def test_the_newest_survives_a_restart(bench: Bench, tmp_path: Path) -> None:
    """The lag goes on from what the earlier process had processed."""
    bench.batch(replace(report(), newest_processed=START))
    assert Bench(tmp_path).idle(START + timedelta(seconds=30))["health_poll_lag_seconds"] == 30


def test_lateness_is_a_histogram_with_a_maximum(bench: Bench, clock: Clock) -> None:
    """Every late commit counts; the greatest is forgotten after an hour, so that its alert resolves."""
    found = bench.batch(replace(report(), lateness_seconds=(0.5, 42.0)))
    assert found["health_commit_lateness_max_seconds"] == 42
    clock.seconds = 1_800
    found = bench.batch(replace(report(), lateness_seconds=(7.0,)))
    assert found["health_commit_lateness_max_seconds"] == 42
    clock.seconds = 3_601
    assert bench.batch(report())["health_commit_lateness_max_seconds"] == 7
    clock.seconds = 5_401
    found = bench.idle(START)
    assert found["health_commit_lateness_max_seconds"] == 0
    assert found["health_commit_lateness_seconds_count"] == 3
    assert found["health_commit_lateness_seconds_sum"] == 49.5
    assert found["health_commit_lateness_seconds_bucket{1.0}"] == 1
    assert found["health_commit_lateness_seconds_bucket{30.0}"] == 2
    assert found["health_poll_overlap_seconds"] == 60


def test_the_backlog_is_known_while_it_is_drained(bench: Bench) -> None:
    """The last piece tells what waits after it; after a whole poll nothing waits."""
    assert bench.batch(replace(report(), backlog=12_000, users=300))["health_backlog_documents"] == 12_000
    found = bench.batch(report(success=False))
    assert found["health_backlog_documents"] == 12_000
    assert found["health_batch_stale_users"] == 0
    assert bench.idle(START)["health_backlog_documents"] == 0


def test_replaced_cursors_are_counted(bench: Bench) -> None:
    """Both origins are there from the start, so that the first increase can be seen."""
    found = bench.idle(START)
    assert found["health_cursor_recoveries_total{previous}"] == 0
    bench.poll.recovered("previous")
    found = bench.idle(START)
    assert found["health_cursor_recoveries_total{previous}"] == 1
    assert found["health_cursor_recoveries_total{default}"] == 0


def test_unknown_sources_are_counted_and_those_of_the_contract_are_not(bench: Bench) -> None:
    """From 0, so that the alert sees the first batch too."""
    assert bench.batch(report())["health_unknown_source_total"] == 0
    reasons = {"wearable": 1, "source:import": 2, "source:healthconnect": 4, "source:(others)": 8}
    found = bench.batch(replace(report(), left_out_by_reason=reasons))
    assert found["health_unknown_source_total"] == 12
    assert found["health_left_out_total{source:healthconnect}"] == 4


def test_documents_ahead_are_measured_seldom_and_told_once(
    bench: Bench, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every five minutes; a server that fails is asked again then."""
    asked = []

    def look(_source: object, _now: datetime) -> Ahead:
        asked.append(clock.seconds)
        if len(asked) == 2:
            raise AutoReconnect
        return Ahead(7, True, 19_800.0)

    monkeypatch.setattr(writers_clocks, "look_ahead", look)
    told: list[str] = []
    monkeypatch.setattr(writers_clocks.logger, "warning", lambda text, **_: told.append(text))
    clocks = writers_clocks.WritersClocks(MagicMock(), bench.poll)
    for seconds in (0, 299, 300, 599, 600, 900):
        clock.seconds = seconds
        clocks.look_due(START)
    assert asked == [0, 300, 600, 900]
    assert len([text for text in told if "330 minutes" in text]) == 1
    found = bench.idle(START)
    assert (found["health_ahead_documents"], found["health_ahead_seconds"]) == (7, 19_800)
