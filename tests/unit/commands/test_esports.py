"""`main.py esports compact` as a person or a script sees it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.support.esports_dataset import Writer

ROOT = Path(__file__).parents[3]


def _run(output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "esports", "compact", *options],
        cwd=output.parent,
        env={"ESPORTS_OUTPUT_PATH": str(output), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_it_tells_what_was_merged(tmp_path: Path) -> None:
    """One line a dataset; a second time there is nothing to do; both are a success."""
    output = tmp_path / "processed"
    Writer(output).season(15)
    first = _run(output)
    assert first.returncode == 0, first.stderr
    assert re.search(r"matches: \d+ batches with \d+ files became one with \d", first.stdout)
    assert "players: " in first.stdout
    again = _run(output, "--json", "--keep-minutes", "0")
    nothing = dict.fromkeys(("batches", "files_before", "files_after", "rows"), 0)
    assert json.loads(again.stdout)["matches"] == nothing
    assert len([path for path in (output / ".generations" / "matches").iterdir() if path.is_dir()]) == 1


def test_no_dataset_and_a_broken_file_are_told_in_one_line(tmp_path: Path) -> None:
    """The folder or file is named, with a remedy; a broken file leaves the dataset as it was."""
    output = tmp_path / "processed"
    missing = _run(output)
    assert missing.returncode == 2
    assert f"There is no dataset in ESPORTS_OUTPUT_PATH={output}" in missing.stderr
    writer = Writer(output)
    writer.season(15)
    current = writer.generations["matches"].current()
    broken = min(current.rglob("*.parquet"))
    broken.write_bytes(b"not Parquet")
    failed = _run(output)
    assert failed.returncode == 1
    assert "is as it was" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert writer.generations["matches"].current() == current
