"""What one crash loop does to the service, drawn from a seed: the same seed draws the same plan."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NETWORK_FAULTS = ("latency", "reset_peer", "black_hole", "cut")
KILL_SERVER = "kill_server"
FULL_DISK = "full_disk"
DELETED_COMMITS = "delete_commits"
LOST_CHECKPOINT = "lose_checkpoint"
RETRIED_LETTERS = "retry_letters"
BESIDE = "beside"

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


@dataclass(frozen=True)
class Means:
    """What can be done to a pipeline: its `servers` with their parts, and the commands that run `beside` it.

    `streams`: it has checkpoints of Spark's that count, and letters that are retried while it is stopped.
    """

    servers: Mapping[str, Sequence[str]]
    beside: Sequence[str] = ()
    streams: bool = False
    has_disk: bool = False

    def weights(self) -> dict[str, int]:
        """How often each kind is drawn, if at all."""
        found = {"kill_job": 3, "kill_jvm": 1, DELETED_COMMITS: 3}
        if self.servers:
            found |= {**dict.fromkeys(NETWORK_FAULTS, 3), KILL_SERVER: 5}
        if self.has_disk:
            found[FULL_DISK] = 3
        if self.streams:
            found |= {LOST_CHECKPOINT: 2, RETRIED_LETTERS: 2}
        if self.beside:
            found[BESIDE] = 3
        return found


def draw_actions(seed: int, means: Means) -> list[Action]:
    """The actions of the loop with this seed."""
    rng, weights = random.Random(f"actions {seed}"), means.weights()
    kinds = rng.choices(list(weights), list(weights.values()), k=rng.randint(1, _MOST_ACTIONS))
    return [Action(kind, round(rng.uniform(0.1, 1.2), 1), _options(rng, kind, means)) for kind in kinds]


def _options(rng: random.Random, kind: str, means: Means) -> dict[str, Any]:
    if kind in NETWORK_FAULTS:
        server = _one(rng, means.servers)
        if kind == "latency":
            shape = {"milliseconds": (slow := rng.choice((50, 200, 700))), "jitter": slow // 2}
            return {"server": server, "seconds": round(rng.uniform(0.5, 2), 1), **shape}
        # Shorter and longer than the job's socket time-out.
        return {"server": server, "seconds": round(rng.uniform(0.2, 3), 1)}
    if kind == KILL_SERVER:
        server = _one(rng, means.servers)
        seconds = round(rng.choice((0, rng.uniform(0, 2))), 1)
        return {"server": server, "part": _one(rng, means.servers[server]), "seconds": seconds}
    if kind == FULL_DISK:
        return {"seconds": round(rng.uniform(0.5, 3), 1)}
    if kind == DELETED_COMMITS:
        # Of a stream whose checkpoint counts, it may be one that was not yet on the disk.
        return {"which": "newest" if means.streams else rng.choice(("newest", "all"))}
    return {"command": _one(rng, means.beside)} if kind == BESIDE else {}


def _one(rng: random.Random, names: Iterable[str]) -> str:
    return rng.choice(sorted(names))


def draw_fault(seed: int, start: int, steps: Sequence[str]) -> str:
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
