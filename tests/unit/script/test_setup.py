"""`script/setup` takes the packages of the lock: by uv where it is, else by pip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.documents import ROOT

SETS = {
    "--dashboard": (
        "requirements-dashboard.txt",
        "--extra kafka --extra postgres --extra dashboard --extra mcp",
    ),
    "--dev": ("requirements-dev.txt", "--all-extras"),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One whose Python and uv only note what they are asked; there is a Java."""
    shutil.copytree(ROOT / "script", tmp_path / "script")
    for file in ROOT.glob("requirements*.txt"):
        shutil.copy(file, tmp_path)
    _note(tmp_path / ".venv" / "bin" / "python", "")
    _note(tmp_path / "bin" / "java", "echo 'openjdk version \"17.0.1\"' >&2")
    return tmp_path


def _note(program: Path, then: str) -> None:
    """A program that writes its arguments down."""
    program.parent.mkdir(parents=True, exist_ok=True)
    noted = f'echo "{program.name} $*" >>"$NOTES"'
    program.write_text(f"#!/bin/sh\n{noted}\n{then}\n")
    program.chmod(0o755)


def _set_up(checkout: Path, option: str) -> list[str]:
    """What was installed."""
    notes = checkout / "notes"
    notes.write_text("")
    environment = {**os.environ, "NOTES": str(notes), "PATH": f"{checkout / 'bin'}:/usr/bin:/bin"}
    environment.pop("JAVA_HOME", None)
    command = [str(checkout / "script" / "setup"), option]
    subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True)
    return [line for line in notes.read_text().splitlines() if " sync " in line or " install " in line]


@pytest.mark.parametrize("option", SETS)
def test_where_uv_is_it_installs_the_lock_and_its_hashes(checkout: Path, option: str) -> None:
    """And nothing of what is there is taken away; a second run installs nothing."""
    file, extras = SETS[option]
    _note(checkout / "bin" / "uv", "")
    assert _set_up(checkout, option) == [f"uv sync --frozen --inexact --no-install-project {extras}"]
    assert (checkout / ".venv" / f"installed-{option[2:]}.txt").read_text() == (ROOT / file).read_text()
    assert _set_up(checkout, option) == []


@pytest.mark.parametrize("uv", [None, "exit 1"], ids=["none", "one that fails"])
@pytest.mark.parametrize("option", SETS)
def test_without_uv_pip_installs_the_same_versions(checkout: Path, option: str, uv: str | None) -> None:
    """A uv that cannot reach the lock's hosts is no reason to give up."""
    if uv:
        _note(checkout / "bin" / "uv", uv)
    *_, last = _set_up(checkout, option)
    assert last == f"python -m pip install --disable-pip-version-check --no-input -r {SETS[option][0]}"
