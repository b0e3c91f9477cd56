"""What a pipeline reads is replaced by another source of the same name."""

from __future__ import annotations

import pytest

from tests.contract.systems import SYSTEMS, System

_KEEPERS = [one.name for one in SYSTEMS.values() if not one.knows_names]


@pytest.mark.parametrize("system", _KEEPERS, indirect=True)
def test_a_source_that_is_made_anew_is_read_from_its_beginning(system: System) -> None:
    """Although the checkpoint knows how far it was: there are as many records as before."""
    _read_two_sources(system)


def test_a_source_that_is_made_anew_and_a_lost_checkpoint_leave_the_records_of_both(system: System) -> None:
    """What the sink knows of the old source is not taken for what is in the new one."""
    _read_two_sources(system, lose_checkpoint=True)


def _read_two_sources(system: System, lose_checkpoint: bool = False) -> None:
    system.send(range(6), [1000])
    assert system.run()
    system.make_source_anew()
    if lose_checkpoint:
        system.lose_checkpoint()
    system.send(range(6, 12), [1001])
    assert system.run()
    assert system.written() == list(range(12))
    assert all(entry["success"] for entry in system.log())
    metrics = system.metrics()
    assert metrics["records_by_outcome_total{outcome=refused}"] == 2
    # Another topic was not made anew, and is read again without its checkpoint.
    assert not system.knows_records or metrics["records_by_outcome_total{outcome=duplicate}"] <= system.others
    system.check()
