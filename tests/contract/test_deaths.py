"""Whatever a batch dies of, and wherever: nothing is lost, nothing is there twice."""

from __future__ import annotations

import signal

import pytest

from tests.contract.systems import WITH_TABLES, System
from tests.support.waiting import meanwhile

pytestmark = pytest.mark.parametrize("system", sorted(WITH_TABLES), indirect=True)
_EACH = 30


def test_kill_9_after_a_step_loses_and_doubles_nothing(system: System) -> None:
    """The first batch on an empty target dies again and again, then a later one on a full target.

    Each process finishes what the one before has left, and dies at a step of its own. Were a batch taken for
    done too early, the next process would find nothing to do, and live. Readers meanwhile see whole batches.
    """
    job, seen = system.job(), set[int]()
    known = [3] if system.knows_content else []
    arguments = ("--pipeline", system.name, "--job", system.part, "--once")

    def die(step: str) -> None:
        ended = job.run(*arguments, FAULT=f"{step}:kill:1")
        assert ended == -signal.SIGKILL, (step, ended, job.output())

    with meanwhile(lambda: seen.add(system.seen()), 0.05):
        first = system.send(range(_EACH), [1000, 1001])
        for step in system.killed_first:
            die(step)
        later = system.send([*range(_EACH, 2 * _EACH), *known], [1002, 1003])
        for step in system.killed_later:
            die(step)
        assert system.run()
    assert not system.whole_batches or seen <= {0, _EACH, 2 * _EACH}
    _assert_is_there_once(system, 2 * _EACH, 4)
    told = [entry["records_processed"] for entry in system.log() if entry["success"]]
    assert told == system.told_after_kills(first, later)
    assert system.metrics()["records_processed_total"] == sum(told)


def test_an_exception_after_a_step_lets_the_batch_come_again_and_be_there_once(system: System) -> None:
    """In the same process: one that dies at each step in turn, the first on an empty target."""
    for turn, step in enumerate(system.steps):
        before = len(system.log())
        came = system.send(range(_EACH * turn, _EACH * (turn + 1)), [1000 + turn])
        assert system.run(f"{step}:raise:1"), step
        failed = [entry for entry in system.log()[before:] if not entry["success"]]
        told = [entry["records_processed"] for entry in system.log()[before:] if entry["success"]]
        assert len(failed) == 1, step
        assert told == [came] * system.told(step), step
        _assert_is_there_once(system, _EACH * (turn + 1), turn + 1)


def test_what_is_read_again_is_not_there_twice(system: System) -> None:
    """Spark forgets that it has done a batch, then everything; what is new goes in each time."""
    came = system.send(range(_EACH), [1000])
    assert system.run()
    system.lose_commit()
    came += system.send(range(_EACH, 2 * _EACH))
    assert system.run()
    _assert_is_there_once(system, 2 * _EACH, 1)
    assert sum(entry["records_processed"] for entry in system.log()) == came
    system.lose_checkpoint()
    system.send(range(2 * _EACH, 3 * _EACH), [1002])
    assert system.run()
    assert system.written() == list(range(3 * _EACH))
    if system.knows_records:
        written = system.metrics()["records_by_outcome_total{outcome=written}"]
        assert written == 3 * _EACH + system.others
    # Refused once more: records that share a letter are others when the batches are cut in another way.
    assert len(system.refused()) == 2
    system.check()


def _assert_is_there_once(system: System, good: int, bad: int) -> None:
    assert system.written() == list(range(good))
    refused = system.refused()
    assert (len(refused), refused.total()) == (bad, bad)
    assert list(system.staged()) == []
    system.check()
