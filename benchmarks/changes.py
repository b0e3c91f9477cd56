"""Batches of changed users: this service against the script, and against itself with other data beside them.

A turn: some users change, then one whole run of each peer on that database, from the poll to the saved
cursor. All databases have their turn in the same rounds: a machine that grows slower slows all, and who is
first or last while Java still compiles is nobody in particular.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from pyspark.sql import SparkSession

from benchmarks.figures import Figures
from benchmarks.limits import Limits, measure_limits
from benchmarks.peers import Ours, Peer, Script, Stopwatch, require_equal
from benchmarks.population import change, user_ids

LONG_DAYS, LONG_USERS = 3_650, 100
# Measured and unmeasured turns by the number of changed users; those of the first workload warm up longer.
_ROUNDS = {1: 11, 100: 5, 1_000: 2}
_WARM_UP, _WARM_UP_AGAIN = {1: 15, 100: 5, 1_000: 1}, 1
_COMPARED_USERS = 5
# The most that it may take, times the script.
_MOST = {
    (1, "sync"): 3.5, (100, "sync"): 0.8, (100, "correction"): 0.65, (100, "first"): 0.65,
    (1_000, "sync"): 0.65, (1_000, "correction"): 0.5, (1_000, "first"): 0.5,
}  # fmt: skip
_MOST_BY_USERS, _MOST_BY_HISTORY = 1.1, 1.2
# Those who see the same changes, by name.
_Group = Mapping[str, Peer]


@dataclass
class Turns:
    """Wall and CPU seconds of each measured run of one peer."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    steps: list[Mapping[str, float]] = field(default_factory=list)

    def milliseconds(self) -> float:
        """Median wall time."""
        return median(self.wall) * 1000

    def told_steps(self) -> str:
        """Median milliseconds of each step that takes any."""
        names = dict.fromkeys(name for steps in self.steps for name in steps)
        found = {name: median(steps.get(name, 0.0) for steps in self.steps) for name in names}
        return " ".join(f"{name} {ms:.0f}" for name, ms in found.items() if ms >= 0.5)


def take_turns(
    groups: Sequence[_Group], watch: Stopwatch, number: int, workload: str, warm_up: int
) -> dict[str, Turns]:
    """Measure the peers of every group on changes of `number` of its users.

    Raises RuntimeError when the peers of a group leave different results of the last.
    """
    rng = random.Random(f"{number} {workload}")
    turns = {name: Turns() for group in groups for name in group}
    last = warm_up + _ROUNDS.get(number, 3) - 1
    for done in range(last + 1):
        for group in groups:
            one = next(iter(group.values()))
            users = rng.sample(user_ids(one.population), number)
            if workload == "first":
                for peer in group.values():
                    peer.forget(users)
            change(one.source, users, rng, workload)
            # Who is second finds the server warm.
            names = sorted(group, reverse=bool(done % 2))
            for name in names:
                wall, cpu = watch.time(group[name].run)
                if done >= warm_up:
                    turns[name].wall.append(wall)
                    turns[name].cpu.append(cpu)
                    turns[name].steps.append(group[name].steps)
            if done == last:
                require_equal([*group.values()], users[:_COMPARED_USERS])
    return turns


@dataclass
class Changes:
    """The peers on their databases: `names` are those of many users, of fewer, and of long histories."""

    names: tuple[str, str, str]
    users: int
    fewer: int
    days: int
    figures: Figures

    def measure(
        self,
        spark: SparkSession,
        uri: str,
        ours: Ours,
        folder: Path,
        numbers: Sequence[int],
        workloads: Sequence[str],
    ) -> None:
        """Every workload, on every number of changed users."""
        long = min(LONG_USERS, self.users)
        script = Script(uri, self.names[0], self.users, folder / "script")
        beside: list[_Group] = [{"long": Ours(spark, uri, self.names[2], long, folder / "long")}]
        if self.fewer < self.users:
            beside.append({"fewer": Ours(spark, uri, self.names[1], self.fewer, folder / "fewer")})
        limits: Limits | None = None
        both: _Group = {"ours": ours, "script": script}
        watch, rows, others = Stopwatch(spark), [], []
        for number in numbers:
            for place, workload in enumerate(workloads):
                groups = [both]
                if not place:
                    groups += [one for one in beside for peer in one.values() if peer.population >= number]
                warm_up = _WARM_UP_AGAIN if place else _WARM_UP.get(number, 2)
                turns = take_turns(groups, watch, number, workload, warm_up)
                # The first turns have left results behind.
                limits = limits or measure_limits(spark, ours.source, ours.job.target, self.figures)
                rows.append(self._row(number, workload, turns, limits.of(number, workload)))
                others += self._beside(number, turns)
        title = f"{self.users:,} users × {self.days} days, medians of ms"
        columns = ["changed users", "workload", "this service", "script", "ratio", "limit", "CPU", "steps"]
        self.figures.table(title, columns, rows)
        if others:
            columns = [
                "changed users",
                "beside",
                "this service",
                f"beside {self.users:,} × {self.days}",
                "ratio",
            ]
            self.figures.table("The same changes with other data beside them, medians of ms", columns, others)

    def _row(self, number: int, workload: str, turns: Mapping[str, Turns], limit: float) -> list[str]:
        ours, script = turns["ours"], turns["script"].milliseconds()
        ratio = ours.milliseconds() / script
        what = f"{number:,} changed, {workload}: times the script"
        if (number, workload) in _MOST:
            self.figures.judge(what, ratio, " ×", most=_MOST[number, workload])
        cpu = median(ours.cpu) * 1000
        times = [f"{found:.0f}" for found in (ours.milliseconds(), script)]
        shares = [f"{ratio:.2f}", f"{limit:.0f}", f"{cpu:.0f}"]
        return [f"{number:,}", workload, *times, *shares, ours.told_steps()]

    def _beside(self, number: int, turns: Mapping[str, Turns]) -> list[list[str]]:
        """The rows and verdicts of the databases that had a turn."""
        ours, rows = turns["ours"].milliseconds(), []
        fewer, long = f"{self.fewer:,} users", f"{LONG_DAYS:,} days"
        if "fewer" in turns:
            found = turns["fewer"].milliseconds()
            rows.append([f"{number:,}", fewer, f"{found:.0f}", f"{ours:.0f}", f"{ours / found:.2f}"])
            what = f"{number:,} changed: among {self.users:,} users against {fewer}"
            self.figures.judge(what, ours / found, " ×", most=_MOST_BY_USERS)
        if "long" in turns:
            found = turns["long"].milliseconds()
            rows.append([f"{number:,}", long, f"{found:.0f}", f"{ours:.0f}", f"{found / ours:.2f}"])
            what = f"{number:,} changed: {long} of history against {self.days}"
            self.figures.judge(what, found / ours, " ×", most=_MOST_BY_HISTORY)
        return rows
