"""The e-commerce benchmark's files: the generator's own events, made once and kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from simulation.ecommerce.events import EventGenerator, write_file

_START = datetime(2026, 1, 1, tzinfo=timezone.utc)
# The generator's own pace.
_EVENTS_AT_ONCE, _STEP = 100, timedelta(seconds=5)
_ROOT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = _ROOT / "spark-health-analytics" / "bench-events"


def event_files(count: int, files: int, seed: int = 1) -> list[Path]:
    """`count` events in `files` files, as the generator writes 100 every 5 seconds from 2026 on."""
    folder = CACHE / f"{count}-{files}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(folder.glob("*.csv"))
    if len(found) == files:
        return found
    for path in found:
        path.unlink()
    generator, moments = EventGenerator(seed), _moments()
    for number in range(files):
        size = count // files + (number < count % files)
        events = (generator.event(next(moments)) for _ in range(size))
        found.append(write_file(folder, number, events, _START))
    return sorted(folder.glob("*.csv"))


def _moments() -> Iterator[datetime]:
    now = _START
    while True:
        now += _STEP
        for _ in range(_EVENTS_AT_ONCE):
            yield now
