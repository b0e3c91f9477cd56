"""Whoever reads a sink while batches are written sees each of them whole or not at all."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import pytest

from tests.contract.systems import SYSTEMS, System
from tests.support.waiting import meanwhile

_EACH, _BATCHES = 40, 12


@pytest.mark.parametrize("system", [one.name for one in SYSTEMS.values() if one.whole_batches], indirect=True)
def test_a_reader_in_a_tight_loop_sees_whole_batches(system: System) -> None:
    """One batch after the other is written as fast as they can be."""
    looks: Counter[int] = Counter()
    system.send(range(_EACH))
    assert system.run()
    with meanwhile(lambda: looks.update([system.seen()])):
        for turn in range(1, _BATCHES):
            system.send(range(_EACH * turn, _EACH * (turn + 1)))
        assert system.run(at_once=_EACH)
    written = [entry["records_written"] for entry in system.log()]
    written[0] -= system.others
    assert len(written) >= _BATCHES
    assert set(looks) <= set(accumulate(written))
    assert len(looks) > _BATCHES // 3
    assert system.written() == list(range(_EACH * _BATCHES))
