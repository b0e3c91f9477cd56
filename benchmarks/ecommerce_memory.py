"""How much memory one large file takes: the real command in processes of its own, watched through /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.memory import family

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
                for pid, java, megabytes in family(process.pid):
                    kind = "java" if java else "driver" if pid == process.pid else "python worker"
                    largest[kind] = max(largest[kind], megabytes)
                time.sleep(_EVERY_SECONDS)
            if process.returncode:
                output.seek(0)
                raise RuntimeError(f"the pipeline failed: {output.read()[-2000:]}")
        return time.perf_counter() - began, largest
