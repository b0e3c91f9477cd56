"""Plans of crash loops: repeatable, and together they reach everything."""

from __future__ import annotations

from tests.chaos.health import HealthWorkload
from tests.chaos.plan import DELETED_COMMITS, NETWORK_FAULTS, SERVER_KILLS, draw_actions, draw_fault

STEPS = HealthWorkload.steps


def test_a_seed_always_draws_the_same() -> None:
    """That is what makes a failed loop repeatable."""
    assert draw_actions(7) == draw_actions(7)
    assert draw_fault(7, 0, STEPS) == draw_fault(7, 0, STEPS)


def test_twenty_loops_reach_every_kind() -> None:
    """Any twenty seeds in a row kill at every step, and nearly all have every kind of fault."""
    for first in range(0, 1000, 50):
        seeds = range(first, first + 20)
        armed = [draw_fault(seed, 0, STEPS).split(":")[:2] for seed in seeds]
        assert {step for step, kind in armed if kind == "kill"} == set(STEPS)
        assert any(kind == "sleep" for _, kind in armed)
        kinds = {action.kind for seed in seeds for action in draw_actions(seed)}
        assert len(kinds & {*NETWORK_FAULTS, *SERVER_KILLS, DELETED_COMMITS, "kill_job"}) >= 7
