"""The sink's server, or its folder, is away for a while: it is told, nothing is lost, nothing is twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import main
import process_batch
from pipelines.engine.faults import Faults
from retry import RetryPolicy
from sinks.ecommerce import bounded, connection
from tests.contract.systems import System
from tests.contract.systems.running import command, opened, program
from tests.support.toxiproxy import TROUBLES
from tests.support.waiting import streaming, wait_for

_IMPATIENT: dict[str, Any] = {
    "mongo_timeout_seconds": 2, "postgres_wait_seconds": 0, "retry_attempts": 2, "retry_base_seconds": 0.1,
    "retry_max_seconds": 0.5, "batch_interval_seconds": 0.5, "esports_interval_seconds": 0.5,
    "ecommerce_interval_seconds": 0.5,
}  # fmt: skip
# Some commands that each wait in vain for as long as they may, and what a loaded machine adds.
_STOP_SECONDS = 90.0


def test_a_sink_that_is_away_at_the_start_is_one_line_that_names_its_setting(
    unsteady: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, as for whatever a person has to mend; the next start finds all that waits."""
    unsteady.options = _IMPATIENT
    came = unsteady.send(range(5), [1000])
    unsteady.cut()
    assert command(unsteady, "--once", "--job", unsteady.part) == 2
    told = capsys.readouterr()
    assert told.err.startswith("❌ ")
    assert len(told.err.splitlines()) == 1
    assert unsteady.sink_setting in told.err
    assert "Traceback" not in told.out
    unsteady.heal()
    assert command(unsteady, "--once", "--job", unsteady.part) == 0
    assert unsteady.written() == list(range(5))
    assert [entry["records_processed"] for entry in unsteady.log()] == [came]
    assert unsteady.refused().total() == 1
    unsteady.check()


def test_a_sink_that_goes_away_in_the_middle_of_a_batch_is_waited_for(
    unsteady: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream lives and tells its failures; records that come meanwhile wait, and go in once.

    Whatever is tried again meanwhile, and the query itself, waits as RETRY_… say.
    """
    unsteady.options = _IMPATIENT
    reach, cuts = Faults.reach, list[str]()
    made, policies = RetryPolicy.__init__, set[tuple[float, ...]]()

    def noted(policy: RetryPolicy, *given: Any, **named: Any) -> None:
        made(policy, *given, **named)
        # Kafka is asked at even times at the start, for as long as its own setting says.
        if policy.base_seconds != policy.max_seconds:
            policies.add((policy.attempts, policy.base_seconds, policy.max_seconds))

    monkeypatch.setattr(RetryPolicy, "__init__", noted)

    def cut_once(faults: Faults, step: str) -> None:
        reach(faults, step)
        if step == "dead_letters" and not cuts:
            cuts.append(step)
            unsteady.cut()

    came = unsteady.send(range(5), [1000])
    with opened(unsteady) as job, streaming(job):
        wait_for(lambda: unsteady.seen() == 5, "the first batch")
        monkeypatch.setattr(Faults, "reach", cut_once)
        came += unsteady.send(range(5, 10), [1001])
        wait_for(lambda: any(not entry["success"] for entry in unsteady.log()), "a failed batch")
        unsteady.heal()
        wait_for(lambda: unsteady.seen() == 10, "what was in the middle")
        came += unsteady.send(range(10, 15))
        wait_for(lambda: unsteady.seen() == 15, "what came afterwards")
    assert unsteady.written() == list(range(15))
    assert unsteady.refused().total() == 2
    if unsteady.knows_records:
        assert sum(entry["records_processed"] for entry in unsteady.log() if entry["success"]) == came
    assert list(unsteady.staged()) == []
    assert policies == {(2, 0.1, 0.5)}
    unsteady.check()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no setting shortens waits a second or two."""
    for module in (bounded, connection):
        monkeypatch.setattr(module, "QUIET_SECONDS", 1.0)
        monkeypatch.setattr(module, "ANSWER_SECONDS", 1.0)
    monkeypatch.setitem(connection._BOUNDS, "connect_timeout", 2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("trouble", ["hangs", "drips"])
def test_a_stop_ends_in_time_while_the_sinks_server_hangs(
    trouble: str, unsteady: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a batch: the server's side accepts everything, and no whole answer comes again."""
    if unsteady.door is None:
        return  # a folder refuses, or answers
    unsteady.options = {**_IMPATIENT, "retry_attempts": 100, "retry_max_seconds": 60}
    reach, hangs = Faults.reach, threading.Event()

    def hang_once(faults: Faults, step: str) -> None:
        reach(faults, step)
        if step == "dead_letters" and not hangs.is_set() and unsteady.door is not None:
            TROUBLES[trouble](unsteady.door)
            hangs.set()

    unsteady.send(range(5), [1000])
    with opened(unsteady) as job, streaming(job):
        wait_for(lambda: unsteady.seen() == 5, "the first batch")
        monkeypatch.setattr(Faults, "reach", hang_once)
        unsteady.send(range(5, 10), [1001])
        wait_for(hangs.is_set, "the middle of a batch")
        began = time.monotonic()
    assert time.monotonic() - began < _STOP_SECONDS
    unsteady.door.heal()


# What is asked while the sink's server is in trouble, with the exit code; of every pipeline, and of some.
_COMMANDS = {("check",): 2, ("dlq", "list"): 0, ("dlq", "retry"): 2, ("--once",): 2}
_MORE: dict[str, dict[tuple[Callable[[], object], tuple[str, ...]], int]] = {
    "ecommerce": {(main.app, ("metrics", "ecommerce")): 2},
    "health": {
        (main.app, ("inspect",)): 2,
        (main.app, ("checkpoint", "show")): 0,
        (main.app, ("checkpoint", "set", "2026-01-01", "--dry-run")): 2,
        (main.app, ("selftest",)): 2,
        (process_batch.app, ()): 2,
        (process_batch.app, ("--full",)): 2,
    },
}
_COMMAND_SECONDS = 30.0


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("trouble", TROUBLES)
def test_every_command_ends_in_time_whatever_the_sinks_server_does(
    trouble: str, unsteady: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """With one line, and what it cannot do without the server is done once that is back."""
    if unsteady.door is None:
        return  # a folder refuses, or answers
    unsteady.options = {**_IMPATIENT, "mongo_timeout_seconds": 1}
    unsteady.send(range(3), [1000])
    assert command(unsteady, "--once") == 0
    TROUBLES[trouble](unsteady.door)
    runs = {partial(command, unsteady, *arguments): code for arguments, code in _COMMANDS.items()}
    for (asked, arguments), code in _MORE.get(unsteady.name, {}).items():
        runs[partial(program, unsteady, asked, *arguments)] = code
    for run, code in runs.items():
        capsys.readouterr()
        began = time.monotonic()
        assert run() == code, run
        assert time.monotonic() - began < _COMMAND_SECONDS, run
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        assert len(told.err.splitlines()) <= 1, told.err
    unsteady.door.heal()
    assert command(unsteady, "--once") == 0
    assert unsteady.written() == list(range(3))
    assert unsteady.refused().total() == 1
