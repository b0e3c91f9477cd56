"""0 done, 1 failed, 2 wrong use, 3 stopped before the end: the same in every command."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import commands.batch_results
import commands.run
import main
import pipelines.health.job
import process_batch
import sinks.parquet.compaction
from commands.batch_results import RunResults
from contracts import AlreadyRunningError, ConfigurationError, Rejected, ServiceError
from pipelines.catalog import PIPELINES
from pipelines.engine.pipeline import Pipeline, Retry
from settings import load
from sinks.dead_letters import RetryOutcome
from tests.support.command_line import Ended, run_command

NOW = datetime(2026, 11, 28, tzinfo=timezone.utc)
SIGNALS = (signal.SIGTERM, signal.SIGINT)
Act = Callable[[], Any]


def _fine() -> bool:
    return True


def _raiser(error: Exception) -> Act:
    def act() -> None:
        raise error

    return act


def _signalled(number: int) -> Act:
    """What works until it is told to stop."""

    def act() -> bool:
        os.kill(os.getpid(), number)
        return True

    return act


class Job:
    """A job that does `act` when it runs, and has done the first of two users of a full pass by then."""

    def __init__(self, act: Act, users_done: int = 1) -> None:
        self._act = act
        self.clock = self.full = self.progress = self.reporting = self.history = self
        self.position = (users_done, 2)
        self.target = None
        self.records = 7

    def next(self) -> datetime:
        """The time."""
        return NOW

    def totals(self) -> Job:
        """What the session did."""
        return self

    def once(self, _stop: object, *_since: object) -> bool:
        """A bounded run."""
        return bool(self._act())

    stream = once

    def run(self, _stop: object) -> int:
        """A full pass."""
        self._act()
        return 0

    def finish(self, _say: object) -> None:
        """The end."""


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Runs a command whose work is `act`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URI", "mongomock://codes")

    def run(command: str, act: Act = _fine, job: Job | None = None) -> Ended:
        @contextmanager
        def opened(*_: object) -> Iterator[Job]:
            yield job or Job(act)

        @contextmanager
        def retry(_settings: object) -> Iterator[Retry]:
            def again(letters: object, stop: Callable[[], bool] = lambda: False) -> RetryOutcome:
                act()
                return RetryOutcome([], [], stop())

            yield again

        def demo(_one: Pipeline, _keep: bool, _console: object, stop: Any) -> None:
            with stop.on_signals():
                act()

        monkeypatch.setattr(commands.run, "open_job", opened)
        monkeypatch.setattr(pipelines.health.job, "open_pipeline", opened)
        monkeypatch.setattr(commands.batch_results, "results_since", lambda *_: RunResults((), 0, 0))
        monkeypatch.setattr(sinks.parquet.compaction, "compact", lambda *_, **__: act())
        monkeypatch.setattr(Pipeline, "run_demo", demo)
        for name, one in [*PIPELINES.items()]:
            monkeypatch.setitem(PIPELINES, name, replace(one, open_retry=retry))
            record = {"_id": 1, "userId": None, "updatedAt": NOW}
            one.open_letters(load()).store([Rejected(record, "x")], "1", NOW)
        for folder in ("data/processed", "data/stock"):
            Path(folder).mkdir(parents=True, exist_ok=True)
        for link in ("data/processed/matches", "data/stock/events"):
            if not Path(link).is_symlink():
                Path(link).symlink_to(".")
        program, *arguments = command.split()
        return run_command(*arguments, app=main.app if program == "main" else process_batch.app)

    return run


_BOUNDED = [
    *(f"main --once --pipeline {name}" for name in PIPELINES),
    *(f"main dlq retry --pipeline {name}" for name in PIPELINES),
    *(f"main --demo --pipeline {name}" for name in PIPELINES),
    *("batch", "batch --since 2026-01-01", "batch --full", "main esports compact", "main stock compact"),
]


@pytest.mark.parametrize("command", _BOUNDED)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_what_is_stopped_before_its_end_says_so_with_code_3(
    ended: Callable[..., Ended], command: str, number: int
) -> None:
    """Whatever it works at; it does not say that it is complete."""
    found = ended(command, _signalled(number))
    assert found.code == 3, found
    assert "COMPLETED" not in found.out
    assert found.err.splitlines()[-1].startswith("✋")
    assert "topped" in found.err
    assert "Traceback" not in found.err
    assert signal.getsignal(signal.SIGTERM) is not signal.default_int_handler


def test_what_fails_while_it_is_stopped_is_no_bug(ended: Callable[..., Ended]) -> None:
    """Java's answer is cut off, for example."""

    def act() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            raise OSError("Answer from Java side is empty")

    found = ended("main esports compact", act)
    assert (found.code, "Traceback" in found.err) == (3, False)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("batch --full", "1 of 2 users; the next --full goes on there"),
        ("batch --since 2026-01-01", "7 records; the same --since begins anew"),
        ("batch", "7 records; the next run goes on there"),
    ],
)
def test_a_one_shot_run_tells_how_far_it_came(ended: Callable[..., Ended], command: str, told: str) -> None:
    """And whether the next one goes on."""
    assert told in ended(command, _signalled(signal.SIGTERM)).err


@pytest.mark.parametrize("command", ["main", "main --pipeline stock", "main --demo --keep-running"])
def test_what_runs_until_it_is_stopped_is_done_then(ended: Callable[..., Ended], command: str) -> None:
    """A stream has no other end."""
    assert ended(command, _signalled(signal.SIGTERM)).code == 0


def test_a_full_pass_that_was_complete_when_the_signal_came_is_done(ended: Callable[..., Ended]) -> None:
    """There is nothing left for a next one."""
    found = ended("batch --full", job=Job(_signalled(signal.SIGTERM), users_done=2))
    assert (found.code, "COMPLETED" in found.out) == (0, True)


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (_fine, 0),
        (_raiser(ServiceError("failed")), 1),
        (_raiser(KeyError("a bug")), 1),
        (_raiser(ConfigurationError("wrong")), 2),
        (_raiser(AlreadyRunningError("another")), 2),
    ],
    ids=["done", "failed", "bug", "wrong", "another"],
)
@pytest.mark.parametrize("command", ["main", "main --once", "main dlq retry", "main --demo", "batch"])
def test_faults_have_the_same_codes_everywhere(
    ended: Callable[..., Ended], command: str, act: Act, code: int
) -> None:
    """A failure is 1, what a person must mend before is 2."""
    assert ended(command, act).code == code


@pytest.mark.parametrize("command", ["main", "main --once", "batch"])
def test_a_run_that_gave_up_has_failed(ended: Callable[..., Ended], command: str) -> None:
    """Its last line does not say that it is complete."""
    found = ended(command, lambda: False)
    assert (found.code, "COMPLETED" in found.out) == (1, False)


@pytest.mark.parametrize(
    "command",
    [
        *(
            "main --bogus",
            "main nonsense",
            "main dlq",
            "main dlq show",
            "main checkpoint set",
            "batch --bogus",
        ),
        *("main checkpoint set tuesday", "batch --since tuesday", "batch --since 2999-01-01"),
        *("batch --full --since 2026-01-01", "main --keep-running", "main --job matches --demo"),
        *(
            "main --pipeline stock inspect",
            "main --pipeline stock check --pipeline=health",
            "main --once check",
            "main dlq list --once",
        ),
    ],
)
def test_wrong_use_is_one_line_and_code_2(ended: Callable[..., Ended], command: str) -> None:
    """Nothing else is said, and nothing done."""
    found = ended(command, _raiser(AssertionError("it ran")))
    assert (found.code, found.out) == (2, ""), found
    assert found.err.startswith("❌")
    assert found.err.count("\n") == 1, found.err
