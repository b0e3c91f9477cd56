"""What one crash loop does to the service, drawn from a seed: the same seed draws the same plan."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

NETWORK_FAULTS = ("latency", "reset_peer", "black_hole", "cut")
SERVER_KILLS = ("kill_ferretdb", "kill_postgres", "kill_both_servers")
DELETED_COMMITS = "delete_commits"

_WEIGHTS = {
    **dict.fromkeys(NETWORK_FAULTS, 3),
    **dict.fromkeys(SERVER_KILLS, 2),
    "kill_job": 3,
    "kill_jvm": 1,
    DELETED_COMMITS: 4,
}
_MOST_ACTIONS = 3
_UNARMED = 0.2
# Passes of a named point until it kills, at the first start within a loop and at further ones: these mostly
# strike in a later loop, in the middle of its own faults. A start of the JVM is what a loop costs.
_PASSES = (1, 2, 3, 5, 8, 13, 21)
_WAITS = (0.3, 1.0)
_LATER_PASSES = (21, 34, 55, 89)


@dataclass(frozen=True)
class Action:
    """One thing done to the service, `after` seconds of quiet."""

    kind: str
    after: float
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"after {self.after:.1f} s {self.told()}"

    def told(self) -> str:
        """What is done."""
        return " ".join([self.kind, *(f"{name}={value}" for name, value in self.options.items())])


def draw_actions(seed: int) -> list[Action]:
    """The actions of the loop with this seed."""
    rng = random.Random(f"actions {seed}")
    kinds = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()), k=rng.randint(1, _MOST_ACTIONS))
    return [Action(kind, round(rng.uniform(0.1, 1.2), 1), _options(rng, kind)) for kind in kinds]


def _options(rng: random.Random, kind: str) -> dict[str, Any]:
    if kind == "latency":
        return {"milliseconds": rng.choice((50, 200, 700)), "seconds": round(rng.uniform(0.5, 2), 1)}
    if kind in NETWORK_FAULTS:
        # Shorter and longer than the job's socket time-out.
        return {"seconds": round(rng.uniform(0.2, 3), 1)}
    if kind in SERVER_KILLS:
        return {"down_seconds": round(rng.choice((0, rng.uniform(0, 2))), 1)}
    if kind == DELETED_COMMITS:
        return {"which": rng.choice(("newest", "all"))}
    return {}


def draw_fault(seed: int, start: int, steps: tuple[str, ...]) -> str:
    """How the job is armed at its `start`-th start within the loop: `step:kill:n`, `step:sleep:n` or empty.

    Consecutive seeds go through the steps in turn, and every third turn lets them wait: then the other faults
    strike between two steps of a batch, where without it a batch spends little time.
    """
    rng = random.Random(f"fault {seed} {start}")
    if start and rng.random() < _UNARMED:
        return ""
    turn, place = divmod(seed + start, len(steps))
    if turn % 3 == 2:
        return f"{steps[place]}:sleep:{rng.choice(_WAITS)}"
    return f"{steps[place]}:kill:{rng.choice(_LATER_PASSES if start else _PASSES)}"
