"""What is done now and then: when it is due."""

from __future__ import annotations

import pytest

from pipelines.engine import due
from tests.support.clock import Clock


@pytest.mark.parametrize(
    ("after", "expected"), [(0, [0, 10, 20, 30]), (10, [10, 20, 30]), (25, [25, 35])], ids=str
)
def test_it_is_due_at_its_first_time_and_then_every_so_many_seconds(
    monkeypatch: pytest.MonkeyPatch, after: float, expected: list[int]
) -> None:
    """And not in between, however often it is asked."""
    clock = Clock(monkeypatch, due)
    is_due, found = due.Due(10, after), []
    for second in range(36):
        clock.seconds = second
        if is_due():
            found.append(second)
    assert found == expected
