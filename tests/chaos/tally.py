"""What a run of crash loops did, counted, and told to people."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tally:
    """Counts of a whole run; `recoveries` in seconds from the last fault until the last write was done."""

    loops: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    claims_seen: int = 0
    crash_states_checked: int = 0

    def lines(self, folder: Path) -> list[str]:
        """The summary; `folder` is the job's, whose batch log is counted."""
        batches = batches_of(folder)
        longest = max(self.recoveries, default=0.0)
        return [
            f"loops            {self.loops}",
            f"actions          {_told(self.actions)}",
            f"ends of the job  {_told(self.deaths)}",
            f"writes           {_told(self.writes)}",
            f"batches          {_told(batches)}",
            f"claims checked   {self.claims_seen} while it ran, {self.crash_states_checked} after a crash",
            f"recovery         longest {longest:.1f} s",
        ]


def _told(counts: Counter[str]) -> str:
    parts = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f"{sum(counts.values())}" + (f" ({parts})" if parts else "")


def batches_of(folder: Path) -> Counter[str]:
    """How many batches the job's log tells of, by status."""
    counts: Counter[str] = Counter()
    for file in (folder / "logs").glob("*batch_logs_*.jsonl"):
        for line in file.read_text().splitlines():
            counts[json.loads(line)["status"]] += 1
    return counts
