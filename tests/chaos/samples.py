"""What a process and its folders hold, sampled over time: first, last, greatest, and growth per hour."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# The slope of less is that of the next step up or down.
_GROWTH_SECONDS = 900.0
# Spark's pools of at most 128 threads: each task of a minute has one of its own, so they follow the load.
_POOLS = ("block-manager-", "broadcast-excha")


@dataclass(frozen=True)
class Limit:
    """The most that a measurement may be at any time, and may grow by in an hour after the warm-up."""

    most: float
    growth: float


@dataclass
class Series:
    """One measurement; `times` in seconds since the start."""

    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, time: float, value: float) -> None:
        """The next sample."""
        self.times.append(time)
        self.values.append(value)

    def growth(self, warm_up_seconds: float) -> float:
        """The least-squares slope per hour of what came after the warm-up; 0 with fewer than two samples."""
        points = [(t, v) for t, v in zip(self.times, self.values, strict=True) if t >= warm_up_seconds]
        if len(points) < 2:
            return 0.0
        mean_time = sum(t for t, _ in points) / len(points)
        mean_value = sum(v for _, v in points) / len(points)
        spread = sum((t - mean_time) ** 2 for t, _ in points)
        return 3600 * sum((t - mean_time) * (v - mean_value) for t, v in points) / spread


def process_sample(pid: int) -> dict[str, float]:
    """`RSS MB`, `descriptors` and `threads`, but those of `_POOLS`, of a running process, from /proc."""
    folder = Path("/proc") / str(pid)
    resident = re.findall(r"^VmRSS:\s+(\d+)", (folder / "status").read_text(), re.MULTILINE)
    return {
        "RSS MB": int(resident[0]) / 1024,
        "descriptors": sum(1 for _ in (folder / "fd").iterdir()),
        "threads": sum(not name.startswith(_POOLS) for name in _thread_names(folder)),
    }


def _thread_names(folder: Path) -> Iterator[str]:
    for task in (folder / "task").iterdir():
        # It may end meanwhile.
        with suppress(OSError):
            yield (task / "comm").read_text()


def count_files(folder: Path) -> int:
    """Files below `folder`."""
    return sum(1 for path in folder.rglob("*") if path.is_file())


def live_heap(gc_log: Path) -> float | None:
    """MB in use after the last full collection in a log of `-Xlog:gc`; None before the first.

    What smaller collections leave is no measure: old garbage heaps up between full ones.
    """
    found = re.findall(r"Pause Full .*->(\d+)M\(", gc_log.read_text())
    return float(found[-1]) if found else None


def collect_garbage(jvm: int) -> None:
    """Have the JVM make full collections; without a JDK's `jcmd` nothing happens.

    Spark frees a broadcast after the collection that finds its plan gone, so the next one takes its bytes.
    """
    if command := shutil.which("jcmd"):
        for pause in (1.0, 1.0, 0.0):
            subprocess.run([command, str(jvm), "GC.run"], stdout=subprocess.DEVNULL, check=False)
            time.sleep(pause)


def table(series: dict[str, Series], limits: dict[str, Limit], warm_up_seconds: float) -> list[str]:
    """One line a measurement, with its limits."""
    lines = [f"{'':22}{'first':>9}{'last':>9}{'most':>9}{'limit':>9}{'growth/h':>10}{'limit':>9}"]
    for name, one in series.items():
        limit = limits[name]
        lines.append(
            f"{name:22}{one.values[0]:9.1f}{one.values[-1]:9.1f}{max(one.values):9.1f}{limit.most:9.0f}"
            f"{one.growth(warm_up_seconds):10.2f}{limit.growth:9.1f}"
        )
    return lines


def beyond(series: dict[str, Series], limits: dict[str, Limit], warm_up_seconds: float) -> Sequence[str]:
    """One sentence for each limit that is exceeded; growth counts after a quarter of an hour."""
    found = []
    for name, one in series.items():
        limit, growth = limits[name], one.growth(warm_up_seconds)
        if max(one.values) > limit.most:
            found.append(f"{name} reached {max(one.values):.1f}, the limit is {limit.most:g}")
        if growth > limit.growth and one.times[-1] - warm_up_seconds >= _GROWTH_SECONDS:
            found.append(f"{name} grew by {growth:.2f} an hour, the limit is {limit.growth:g}")
    return found
