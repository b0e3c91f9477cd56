"""What the benchmarks share: turns, topics, a job's folders."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median

from confluent_kafka.admin import AdminClient
from rich.console import Console

_FOLDERS = ("log_directory", "metrics_directory", "dlq_directory", "checkpoint_location")
_WAIT_SECONDS = 30


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
