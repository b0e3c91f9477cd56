"""Whatever becomes of a checkpoint's folder: each record counts once, and one process writes."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from tests.contract.systems import SYSTEMS, System
from tests.contract.systems.running import command, opened
from tests.support.damage import DAMAGES
from tests.support.waiting import streaming, wait_for

_BY_SPARK = [one.name for one in SYSTEMS.values() if one.name != "health"]


@pytest.mark.parametrize("system", _BY_SPARK, indirect=True)
def test_a_damaged_checkpoint_is_begun_anew_without_loss_or_doubles(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """The only plan is gone; then anything else. Kafka's topics are read from their beginning.

    `check` tells it before the next start does.
    """
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    if system.reads_kafka:
        system.options = {"kafka_starting_offsets": "latest"}
        assert system.run()
    is_told = False
    for turn in range(3):
        system.send(range(5 * turn, 5 * turn + 5), [1000 + 2 * turn])
        assert system.run()
        assert system.written() == list(range(5 * turn + 5))
        # After a `check` the log of this process goes to standard error.
        assert "".join(capsys.readouterr()).count("was damaged") == is_told
        (folder,) = (
            one.parent
            for one in system.settings().checkpoint_location.rglob("metadata")
            if one.parent.suffix != ".before"
        )
        if turn:
            chance.choice(DAMAGES)(folder, chance)
        else:
            (folder / "offsets" / "0").unlink()
        command(system, "check", "--json")
        checks = json.loads(capsys.readouterr().out)["checks"]
        (found,) = (one for one in checks if one["name"] == "Spark's checkpoint")
        is_told = found["status"] == "warning"
        assert is_told or turn
    # Read anew in one batch.
    assert sorted(system.refused().values()) == [1, 1, 1]
    system.check()


def test_a_checkpoint_that_is_removed_under_a_stream_is_held_and_begun_anew(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second process is refused all the same; each record counts once."""
    system.options = {"batch_interval_seconds": 0.5}
    with opened(system) as job, streaming(job):
        system.send(range(5), [1000])
        wait_for(lambda: system.seen() == 5, "the first records")
        # At once: while it is emptied, the stream would write into it.
        gone = system.settings().checkpoint_location
        shutil.rmtree(gone.rename(gone.with_name("gone")))
        wait_for(lambda: "it is held anew" in capsys.readouterr().out, "the note")
        assert command(system, "--once", "--job", system.part) == 2
        system.send(range(5, 10), [1001])
        wait_for(lambda: system.seen() == 10, "the later records")
    assert system.written() == list(range(10))
    assert len(system.refused()) == 2
    system.check()
