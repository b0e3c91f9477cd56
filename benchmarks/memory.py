"""Measures how long the real command runs in processes of its own, and their resident memory, from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

_EVERY_SECONDS = 0.2


def family(root: int) -> Iterator[tuple[int, bool, int]]:
    """Yield id, whether it is Java, and MB of each process below and including `root`."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    waiting = [root]
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        try:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
        except OSError:
            continue
        fields = dict(line.split(":\t", 1) for line in lines)
        if "VmRSS" in fields:
            yield process, fields["Name"] == "java", int(fields["VmRSS"].split()[0]) // 1024


def environment_of(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command that keeps its files below `folder`, with `given`."""
    places = ("LOG_DIRECTORY", "METRICS_DIRECTORY", "DLQ_DIRECTORY", "CHECKPOINT_LOCATION")
    return {**os.environ, **{place: str(folder / place.lower()) for place in places}, **given}


def watch(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    now: Callable[[int], Iterable[tuple[str, int]]] = lambda _pid: (),
    checkout: Path = Path(),
) -> tuple[float, dict[str, int]]:
    """Run `command`, a program of `checkout` and its arguments, with its files below `folder`.

    Returns its seconds, and the largest MB by kind of process: `now` is asked again and again, with the
    command's process id, for the kind and MB of each. Raises RuntimeError with the end of the output when the
    command fails.
    """
    given = environment_of(folder, environment)
    largest: dict[str, int] = {}
    began = time.perf_counter()
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *command], env=given, cwd=checkout, stdout=output, stderr=output
        )
        while process.poll() is None:
            for kind, megabytes in now(process.pid):
                largest[kind] = max(largest.get(kind, 0), megabytes)
            time.sleep(_EVERY_SECONDS)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed: {output.read()[-2000:]}")
    return time.perf_counter() - began, largest
