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


def watch(
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    now: Callable[[int], Iterable[tuple[str, int]]],
) -> tuple[float, dict[str, int]]:
    """Run `main.py` with its files below `folder`: its seconds, and the largest MB by kind of process.

    `now` is asked again and again, with the command's process id, for the kind and MB of each process.
    Raises RuntimeError with the end of the output when the command fails.
    """
    places = ("LOG_DIRECTORY", "METRICS_DIRECTORY", "DLQ_DIRECTORY", "CHECKPOINT_LOCATION")
    given = {**os.environ, **{place: str(folder / place.lower()) for place in places}, **environment}
    largest: dict[str, int] = {}
    began = time.perf_counter()
    with (folder / "output").open("w+") as output:
        command = [sys.executable, "main.py", *arguments]
        process = subprocess.Popen(command, env=given, stdout=output, stderr=output)
        while process.poll() is None:
            for kind, megabytes in now(process.pid):
                largest[kind] = max(largest.get(kind, 0), megabytes)
            time.sleep(_EVERY_SECONDS)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"main.py {' '.join(arguments)} failed: {output.read()[-2000:]}")
    return time.perf_counter() - began, largest
