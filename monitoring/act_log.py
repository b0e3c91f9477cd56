"""The log of what people did with dead letters: who, when, what and how it ended, one JSON line each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from contracts.iso_times import time_with_z
from monitoring.redaction import Redactor

# For the service's user and its group, such as those who audit.
_MODE = 0o640


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class ActLog:
    """Appends to `acts_YYYYMMDD.jsonl`, a file a day (UTC), in `directory`; masks `secrets`."""

    def __init__(
        self, directory: Path, secrets: Sequence[str] = (), now: Callable[[], datetime] = _utc_now
    ) -> None:
        self._directory = directory
        self._redactor = Redactor(secrets)
        self._now = now

    def write(self, who: str, what: str, pipeline: str, letter: str, outcome: str) -> None:
        """Write that `who` did `what` with the `letter` of `pipeline`; `outcome` is "asked" or its end.

        Raises OSError when that is impossible: what leaves no trace must not be done.
        """
        now = self._now()
        entry = {"time": time_with_z(now)}
        entry |= {"who": who, "what": what, "pipeline": pipeline, "letter": letter, "outcome": outcome}
        line = json.dumps(self._redactor.value(entry)).encode() + b"\n"
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"acts_{now:%Y%m%d}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, _MODE)
        try:
            # One write, so that lines of two processes never mix.
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
