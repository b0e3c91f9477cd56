"""How much memory one large file takes: the real command in processes of its own, watched through /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_EVERY_SECONDS = 0.2
_KINDS = ("driver", "java", "python worker")


def largest_memory(dsn: str, file: Path) -> tuple[float, dict[str, int]]:
    """Seconds of `main.py --pipeline ecommerce --once` for `file`, and the largest MB by kind of process.

    MB are of the resident set; of several workers it is the largest one's. Raises RuntimeError when the
    command fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = ("LOG_DIRECTORY", "METRICS_DIRECTORY", "DLQ_DIRECTORY", "CHECKPOINT_LOCATION")
        environment = {
            **os.environ,
            **{place: str(folder / place.lower()) for place in places},
            "POSTGRES_DSN": dsn,
            "ECOMMERCE_INPUT_PATH": str(file.parent),
        }
        began = time.perf_counter()
        with (folder / "output").open("w+") as output:
            command = [sys.executable, "main.py", "--pipeline", "ecommerce", "--once"]
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
            largest = dict.fromkeys(_KINDS, 0)
            while process.poll() is None:
                for kind, megabytes in _family(process.pid):
                    largest[kind] = max(largest[kind], megabytes)
                time.sleep(_EVERY_SECONDS)
            if process.returncode:
                output.seek(0)
                raise RuntimeError(f"the pipeline failed: {output.read()[-2000:]}")
        return time.perf_counter() - began, largest


def _family(root: int) -> Iterator[tuple[str, int]]:
    """Kind and MB of each process below and including `root`."""
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
            fields = dict(
                line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines()
            )
        except OSError:
            continue
        if "VmRSS" in fields:
            kind = "java" if fields["Name"] == "java" else "driver" if process == root else "python worker"
            yield kind, int(fields["VmRSS"].split()[0]) // 1024
