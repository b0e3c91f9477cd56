"""What the benchmarks share: turns, budgets with an exit code, topics, a job's folders."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median

import typer
from confluent_kafka.admin import AdminClient
from rich.console import Console

_FOLDERS = ("log_directory", "metrics_directory", "dlq_directory", "checkpoint_location")
_WAIT_SECONDS = 30


class Verdicts:
    """Figures held to their budgets; `end` prints them and exits with 1 when one was missed."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._lines: list[str] = []
        self._missed = False

    def judge(
        self, what: str, value: float, unit: str, *, least: float = 0, most: float = float("inf")
    ) -> None:
        """Note `value`, which is to be at least `least` or at most `most`."""
        met = least <= value <= most
        self._missed = self._missed or not met
        budget = f"≥ {least:g}" if least else f"≤ {most:g}"
        self._lines.append(f"{'✅' if met else '❌'} {what}: {value:.2f}{unit} (budget {budget}{unit})")

    def end(self) -> None:
        """Print all; raises typer.Exit."""
        for line in self._lines:
            self._out.print(line, highlight=False)
        raise typer.Exit(1 if self._missed else 0)


def in_turns(runs: Mapping[str, Callable[[], float]], rounds: int, out: Console) -> dict[str, float]:
    """Return the median seconds of each run; the runs alternate, so that a slower machine slows all."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            seconds[name].append(run())
            told = f"{number + 1}. {name}: {seconds[name][-1]:.1f} s, load {os.getloadavg()[0]:.1f}"
            out.print(told, highlight=False)
    return {name: median(found) for name, found in seconds.items()}


def folders(root: Path, *more: str) -> dict[str, Path]:
    """Return the settings of a job's folders, all of them below `root`."""
    return {name: root / name for name in (*_FOLDERS, *more)}


def drop_topics(servers: str, topics: Iterable[str]) -> None:
    """Delete the topics; one that is not there is fine, and one that a busy broker keeps for a while."""
    for future in AdminClient({"bootstrap.servers": servers}).delete_topics(list(topics)).values():
        with suppress(concurrent.futures.TimeoutError):
            future.exception(_WAIT_SECONDS)
