"""Measures how much memory one large file takes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.memory import family, watch

_KINDS = ("driver", "java", "python worker")


def largest_memory(dsn: str, file: Path) -> tuple[float, dict[str, int]]:
    """Seconds of `main.py --pipeline ecommerce --once` for `file`, and the largest MB by kind of process.

    MB are of the resident set; of several workers it is the largest one's. Raises RuntimeError when the
    command fails.
    """
    environment = {"POSTGRES_DSN": dsn, "ECOMMERCE_INPUT_PATH": str(file.parent)}
    with tempfile.TemporaryDirectory() as folder:
        seconds, largest = watch(["--pipeline", "ecommerce", "--once"], Path(folder), environment, _memory)
    return seconds, dict.fromkeys(_KINDS, 0) | largest


def _memory(driver: int) -> Iterator[tuple[str, int]]:
    for pid, java, megabytes in family(driver):
        yield "java" if java else "driver" if pid == driver else "python worker", megabytes
