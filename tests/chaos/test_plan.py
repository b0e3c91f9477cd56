"""Plans of crash loops: repeatable, and together they reach everything."""

from __future__ import annotations

import pytest

from pipelines.catalog import PIPELINES
from tests.chaos.plan import Means, draw_actions, draw_fault
from tests.chaos.workloads import WORKLOADS

MEANS = {
    "a database that is polled": Means({"mongo": ("ferretdb", "postgres", "")}, ("full",), has_disk=True),
    "a stream of two servers": Means({"mongo": ("",), "kafka": ("",)}, ("compact",), True, True),
    "a stream without a disk of its own": Means({"postgres": ("",)}, streams=True),
}
STEPS = tuple(f"step {number}" for number in range(7))


def test_every_pipeline_has_a_workload() -> None:
    """Another pipeline is put through the loops too."""
    assert set(WORKLOADS) == set(PIPELINES)


@pytest.mark.parametrize("means", MEANS.values(), ids=MEANS)
def test_a_seed_always_draws_the_same(means: Means) -> None:
    """That is what makes a failed loop repeatable."""
    assert draw_actions(7, means) == draw_actions(7, means)
    assert draw_fault(7, 0, STEPS) == draw_fault(7, 0, STEPS)


@pytest.mark.parametrize("means", MEANS.values(), ids=MEANS)
def test_twenty_loops_reach_every_kind(means: Means) -> None:
    """Any twenty seeds in a row kill at every step, and nearly all have every kind of fault."""
    for first in range(0, 1000, 50):
        seeds = range(first, first + 20)
        armed = [draw_fault(seed, 0, STEPS).split(":")[:2] for seed in seeds]
        assert {step for step, kind in armed if kind == "kill"} == set(STEPS)
        assert any(kind == "sleep" for _, kind in armed)
        kinds = {action.kind for seed in seeds for action in draw_actions(seed, means)}
        assert kinds <= set(means.weights())
        assert len(kinds) >= len(means.weights()) - 3
