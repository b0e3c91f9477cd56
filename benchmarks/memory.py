"""The resident memory of processes, from /proc."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_EVERY_SECONDS = 0.5


def family(root: int) -> Iterator[tuple[int, bool, int]]:
    """Id, whether it is Java, and MB of each process below and including `root`."""
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


@contextmanager
def largest(now: Callable[[], Mapping[str, int]]) -> Iterator[dict[str, int]]:
    """The largest of each of the MB that `now` gives, asked for again and again inside the block."""
    found: dict[str, int] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY_SECONDS):
            for kind, megabytes in now().items():
                found[kind] = max(found.get(kind, 0), megabytes)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
