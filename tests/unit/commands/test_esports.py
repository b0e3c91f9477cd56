"""`main.py esports compact` as a person or a script sees it, and what `check` says of the tables."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from commands.checks import esports as checks
from settings import load
from tests.support.esports_dataset import Writer

ROOT = Path(__file__).parents[3]


def _run(output: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "esports", "compact", *options],
        cwd=output.parent,
        env={"ESPORTS_OUTPUT_PATH": str(output), "PATH": "/usr/bin:/bin", **more},
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


def test_delta_tables_are_compacted_by_the_same_command(tmp_path: Path) -> None:
    """What became of the files is told; where there is no table, where it was looked for."""
    lake = tmp_path / "lake"
    Writer(tmp_path / "processed", str(lake)).season(15)
    first = _run(tmp_path / "processed", "--keep-minutes", "0", ESPORTS_DELTA_PATH=str(lake))
    assert first.returncode == 0, first.stderr
    became = r"^matches: \d+ files became \d+; \d+ files that had been replaced are removed\.$"
    assert re.search(became, first.stdout, re.MULTILINE)
    again = json.loads(_run(tmp_path / "processed", "--json", ESPORTS_DELTA_PATH=str(lake)).stdout)
    assert again["players"] == {"files_before": 0, "files_after": 0, "files_removed": 0}
    missing = _run(tmp_path / "processed", ESPORTS_DELTA_PATH=str(tmp_path / "none"))
    assert missing.returncode == 2
    assert f"There is no dataset in ESPORTS_DELTA_PATH={tmp_path / 'none'}" in missing.stderr


def test_check_looks_at_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None yet, some, a place that cannot be used, and without the package: each with what to do."""
    monkeypatch.setattr("commands.checks.esports.native_code", lambda: "can be run")
    lake = tmp_path / "lake"

    def found(place: Path) -> tuple[str, str]:
        _, tables = checks.run(load(env_file=None, esports_delta_path=str(place)))
        return tables.status, f"{tables.detail} {tables.remedy}"

    assert found(lake) == ("ok", f"{lake} answers and has none yet; the first start makes them ")
    Writer(tmp_path / "processed", str(lake)).season(2)
    assert re.search("answers; matches has version [1-9]", found(lake)[1])
    broken = tmp_path / "broken"
    (broken / "matches" / "_delta_log").mkdir(parents=True)
    (broken / "matches" / "_delta_log" / f"{0:020d}.json").write_text("no log")
    status, told = found(broken)
    assert (status, "cannot be used" in told, "Make the folder writable" in told) == ("failed", True, True)
    monkeypatch.setitem(sys.modules, "deltalake", None)
    status, told = found(lake)
    assert (status, "deltalake is not installed" in told) == ("failed", True)
    assert len(list(checks.run(load(env_file=None)))) == 1
