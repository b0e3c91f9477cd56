"""Full disks: the checkpoint and the dead letters hold the batch, logs and metrics do not; all recover."""

from __future__ import annotations

import os

import pytest

from pipelines.engine.faults import Faults
from pipelines.engine.stop_flag import StopFlag
from tests.contract.systems import System
from tests.contract.systems.running import opened
from tests.support.small_disk import SmallDisk

_IMPATIENT = {"retry_attempts": 2}


def test_a_full_checkpoint_folder_holds_the_batch_until_there_is_space(
    system: System, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a batch or in its middle: nothing is taken for done, nothing half-written lies there then."""
    checkpoints = disk.folder / "checkpoints"
    system.options = {**_IMPATIENT, "checkpoint_location": checkpoints}
    reach = Faults.reach

    def fill(faults: Faults, step: str) -> None:
        reach(faults, step)
        if step == "dead_letters":
            disk.fill()

    came = system.send(range(5), [1000])
    with opened(system) as job:
        assert job.once(StopFlag())
        for turn, bad in enumerate(([1001], []), 1):
            came += system.send(range(5 * turn, 5 * turn + 5), bad)
            if turn == 1:
                disk.fill()
            else:
                monkeypatch.setattr(Faults, "reach", fill)
            assert not job.once(StopFlag())
            monkeypatch.undo()
            disk.free()
            # Spark leaves its own.
            assert not list(checkpoints.rglob(f".*.{os.getpid()}.tmp"))
            assert job.once(StopFlag())
    _assert_is_there_once(system, 15, came)


def test_a_full_dead_letter_folder_holds_the_batch_until_there_is_space(
    system: System, disk: SmallDisk
) -> None:
    """A letter that cannot be stored is never dropped, and nothing of a whole batch counts before it is."""
    letters = disk.folder / "dlq"
    system.options = {**_IMPATIENT, "dlq_directory": letters}
    came = system.send(range(5))
    assert system.run()
    # The second contradicts another record where the content is known, which is found out late.
    for turn, bad in enumerate((1000, 1001), 1):
        came += system.send(range(5 * turn, 5 * turn + 5), [bad])
        disk.fill()
        assert not system.run()
        (error,) = system.log()[-1]["errors"]
        assert "DLQ_DIRECTORY" in error
        assert "Traceback" not in error
        assert not system.whole_batches or system.seen() == 5 * turn
        disk.free()
        assert not list(letters.glob("*.tmp"))
        assert system.run()
    _assert_is_there_once(system, 15, came)


def test_full_log_and_metrics_folders_cost_one_warning_each(
    system: System, disk: SmallDisk, capfd: pytest.CaptureFixture[str]
) -> None:
    """Batches go on; what was counted meanwhile is in the files once there is space."""
    system.options = {"log_directory": disk.folder / "logs", "metrics_directory": disk.folder / "metrics"}
    disk.fill()
    with opened(system) as job:
        for turn in range(3):
            system.send(range(5 * turn, 5 * turn + 5))
            assert job.once(StopFlag())
        told = "".join(capfd.readouterr())
        assert [told.count(setting) for setting in ("LOG_DIRECTORY", "METRICS_DIRECTORY")] == [1, 1]
        disk.free()
        system.send(range(15, 20))
        assert job.once(StopFlag())
    assert system.written() == list(range(20))
    assert system.metrics()["batches_processed_total"] == 4
    assert len(system.log()) == 1


def _assert_is_there_once(system: System, good: int, came: int) -> None:
    assert system.written() == list(range(good))
    assert len(system.letters()) == 2
    assert system.refused().total() == 2
    if system.knows_records:
        assert sum(entry["records_processed"] for entry in system.log() if entry["success"]) == came
    assert list(system.staged()) == []
    system.check()
