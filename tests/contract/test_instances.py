"""Two processes never write one thing: the second is refused, and does not disturb the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from filelock import FileLock

import main
import process_batch
from checkpoint.lock import LOCK_NAME, is_taken
from pipelines.engine.faults import Faults
from pipelines.engine.stop_flag import StopFlag
from sinks.dead_letters import DeadLetters
from tests.contract.systems import System
from tests.contract.systems.running import command, opened, program
from tests.support.waiting import wait_for


def test_a_second_instance_is_refused_with_one_line(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it would run the pipeline or try letters; with the same checkpoint, or only the same sink."""
    came = system.send(range(5), [1000])
    with opened(system) as first:
        assert first.once(StopFlag())
        others = [{}, {"checkpoint_location": system.folder / "another"}] if system.locks_sink else [{}]
        for system.options in others:
            for arguments in (("--once", "--job", system.part), ("dlq", "retry")):
                capsys.readouterr()
                assert command(system, *arguments) == 2, arguments
                told = capsys.readouterr()
                assert told.err.startswith("❌ Another ")
                assert len(told.err.splitlines()) == 1
                assert "Starting" not in told.out
        system.options = {}
        came += system.send(range(5, 10), [1001])
        assert first.once(StopFlag())
    assert system.written() == list(range(10))
    assert system.refused().total() == 2
    if system.knows_records:
        assert [entry["records_processed"] for entry in system.log()] == [came // 2 + came % 2, came // 2]
    assert command(system, "--once", "--job", system.part) == 0
    system.check()


def test_a_run_with_an_end_whose_folder_another_took_ends_with_one_line(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is under way when it finds out is done whole; what would come after is the other one's."""
    system.send(range(5), [1000])
    assert system.run()
    pipeline = ("--pipeline", system.name)
    runs = [(main.app, ("--once", "--job", system.part, *pipeline)), (main.app, ("dlq", "retry", *pipeline))]
    if system.name == "health":
        runs += [(process_batch.app, way) for way in ((), ("--since", "2020-01-01"), ("--full",))]
    for number, (run, arguments) in enumerate(runs, 5):
        system.send([number])
        capsys.readouterr()
        with _taken(system):
            assert program(system, run, *arguments) == 2, arguments
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith("another process holds it now. Nothing is lost; it goes on there. Run only one.")
    assert command(system, "--once", "--job", system.part) == 0
    assert system.written() == list(range(5 + len(runs)))
    assert system.refused().total() == 1
    system.check()


@contextmanager
def _taken(system: System) -> Iterator[None]:
    """The checkpoint's lock is another's from the first step of a run on, which goes on when it found out."""
    others: list[FileLock] = []

    def take(*_: object) -> None:
        if not others:
            (lock,) = system.settings().checkpoint_location.rglob(LOCK_NAME)
            others.append(FileLock(lock.with_name("other")))
            others[0].acquire()
            lock.with_name("other").rename(lock)
            wait_for(is_taken, "it to find out")

    with (
        patch.object(Faults, "reach", take),
        patch.object(DeadLetters, "count_attempts", _first(take, DeadLetters.count_attempts)),
    ):
        yield
    others[0].release()


def _first(act: Callable[[], None], call: Callable[..., None]) -> Callable[..., None]:
    def both(*arguments: Any) -> None:
        act()
        call(*arguments)

    return both
