"""Commands that were renamed work for a release under their earlier names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("earlier", "today", "options", "made"),
    [
        ("sources.event_generator", "simulation.ecommerce.events", ("--batches", "1"), "*.csv"),
        ("sources.match_simulator", "simulation.esports.messages", ("--ticks", "1"), "matches/*.jsonl"),
    ],
)
def test_an_earlier_name_does_the_same_and_tells_the_new_one(
    tmp_path: Path, earlier: str, today: str, options: tuple[str, ...], made: str
) -> None:
    """One line on standard error, and the output of the command of today."""
    command = [sys.executable, "-m", earlier, "--output", str(tmp_path), *options]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    assert done.stderr == f"This command is now called python -m {today}\n"
    assert "written." in done.stdout
    assert len(list(tmp_path.glob(made))) == 1
