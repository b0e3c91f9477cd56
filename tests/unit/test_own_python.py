"""`./pulse`, as every page writes it, and `python main.py` work whichever Python is called."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import own_python
from tests.support.documents import ROOT


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """By a Python without any package."""
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("program", ["main.py", "process_batch.py", "pulse"])
def test_a_python_without_the_packages_hands_over_to_the_checkouts(program: str, tmp_path: Path) -> None:
    """From any folder, with all arguments."""
    done = run(tmp_path, str(ROOT / program), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout
    assert run(tmp_path, str(ROOT / program), "--nonsense").returncode == 2


@pytest.mark.parametrize("program", ["main.py", "process_batch.py", "pulse"])
def test_where_nothing_was_set_up_one_line_says_what_to_do(program: str, tmp_path: Path) -> None:
    """A newcomer saw a traceback that ends in ModuleNotFoundError."""
    for name in (program, "own_python.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    done = run(tmp_path, program, "--help")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "lacks the packages (typer, pyspark). Run script/setup" in line
    elsewhere = run(tmp_path.parent, f"{tmp_path.name}/{program}")
    assert f"Run {tmp_path / 'script' / 'setup'}, which" in elsewhere.stderr


def test_on_windows_no_bash_script_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be run there is told."""
    monkeypatch.setattr(own_python, "find_spec", lambda _name: None)
    monkeypatch.setattr(own_python, "_ENVIRONMENT", tmp_path)
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit):
        own_python.take_own_python()
    assert "setup.ps1, which puts them into .venv" in capsys.readouterr().err
