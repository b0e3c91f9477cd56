"""Which process holds the stock ledger, and whether it lives: the holder beats, and who starts listens."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BEAT_SECONDS = 2.0
# A holder that is silent for so long has ended, or is stalled; the fence keeps it from writing any more.
SILENT_SECONDS = 10.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> dict[str, Any]:
    """Where this process runs, and its number there."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        # Hosts of one name, and containers that have the host's.
        parts += [_BOOT.read_text().strip(), str(Path("/proc/self/ns/pid").stat().st_ino)]
    return {"host": parts[0], "place": " ".join(parts), "pid": os.getpid()}


def has_ended(holder: Mapping[str, Any]) -> bool:
    """Whether `holder`, a `this_process`, is known to have ended: only where it ran can that be seen."""
    me = this_process()
    if holder.get("place") != me["place"] or os.name == "nt":
        return False
    if holder["pid"] == me["pid"]:
        # As in a container that was started again.
        return True
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@contextmanager
def beating(beat: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `beat` every `seconds` while the block runs, also while a long batch does; it may fail."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            with suppress(Exception):
                beat()

    thread = threading.Thread(target=repeat, name="stock-holder", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        # A server that is away must not hold up the end.
        thread.join(seconds)
