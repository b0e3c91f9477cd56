"""When the sweep is made: counted over restarts, and soon again after a failure."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from checkpoint.cursor import FileCursor
from contracts import UnavailableError
from monitoring.run_state import RunState
from pipelines.engine.stop_flag import StopFlag
from pipelines.health.upkeep import sweep
from pipelines.health.upkeep.pass_progress import PassProgress
from pipelines.health.upkeep.sweep import Sweep
from tests.support.clock import Clock

BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)
_HOUR = 3600.0


class Bench:
    """A checkpoint, a server's clock, and passes of which only the end is told."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock = folder, clock
        self.passes: list[float] = []
        self.fails = False
        self.shift = timedelta(0)

    def sweep(self, hours: float = 36) -> Sweep:
        """As a new process has it."""
        progress = PassProgress(FileCursor(self.folder), lambda _users: 1)
        now = SimpleNamespace(now=self._now)

        def run(_stop: StopFlag, between: Any) -> int:
            if self.fails:
                raise UnavailableError("away")
            between()
            self.passes.append(self.clock.seconds / _HOUR)
            progress.end(self._now())
            return 0

        full: Any = SimpleNamespace(clock=now, progress=progress, run=run)
        return Sweep(full, RunState(1.0), hours * _HOUR)

    def hours(self, made: Sweep, hours: int, between: Any = lambda: None) -> None:
        """Time passes, and the stream's batches come each hour."""
        for _ in range(hours):
            made.run_due(StopFlag(), between)
            self.clock.seconds += _HOUR

    def _now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.clock.seconds) + self.shift


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The first start of all."""
    return Bench(tmp_path, Clock(monkeypatch, sweep))


def test_a_job_that_is_restarted_daily_sweeps_all_the_same(bench: Bench) -> None:
    """Each process lives shorter than the interval: it counts from the end of the last pass."""
    for _ in range(5):
        bench.hours(bench.sweep(), 24)
    assert bench.passes == [36, 72, 108]


def test_one_process_sweeps_at_its_interval_and_0_is_never(bench: Bench) -> None:
    """And changes are taken in meanwhile."""
    polls: list[int] = []
    bench.hours(bench.sweep(10), 31, lambda: polls.append(1))
    assert (bench.passes, len(polls)) == ([10, 20, 30], 3)
    bench.hours(bench.sweep(0), 100)
    assert len(bench.passes) == 3


def test_a_sweep_that_failed_comes_again_soon(bench: Bench) -> None:
    """Not at its next time, which may be a week away."""
    bench.fails = True
    made = bench.sweep()
    bench.hours(made, 38)
    assert bench.passes == []
    bench.fails = False
    bench.hours(made, 1)
    assert bench.passes == [38]


def test_a_clock_that_was_set_back_delays_no_sweep_for_longer_than_the_interval(bench: Bench) -> None:
    """The end of the last pass then lies in the future."""
    bench.hours(bench.sweep(10), 11)
    bench.shift = timedelta(days=-1000)
    bench.hours(bench.sweep(10), 6)
    bench.hours(bench.sweep(10), 6)
    assert bench.passes == [10, 21]
