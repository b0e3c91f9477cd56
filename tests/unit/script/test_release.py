"""`script/release` makes nothing of what does not fit together."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from commands.pulse import VERSION
from tests.support.documents import ROOT

# Knows one package in every set, and what the environment says of its safety.
_UV = """#!/bin/sh
case $1 in
    export) echo "a==1" ;;
    audit) exit "$AUDITED" ;;
esac
"""
_GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A release that is ready, but for what there is to build it with."""
    shutil.copytree(ROOT / "script", tmp_path / "script")
    (tmp_path / "script" / "setup").write_text("#!/bin/sh\n")
    (tmp_path / "commands").mkdir()
    shutil.copy(ROOT / "commands" / "pulse.py", tmp_path / "commands")
    (tmp_path / "CHANGELOG.md").write_text(f"## [Unreleased]\n\n## [{VERSION}] - 2026-11-28\n")
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(_UV)
    uv.chmod(0o755)
    for name in ("", "-dashboard", "-dev"):
        text = "# Made of uv.lock by script/lock; edit pyproject.toml instead.\na==1\n"
        (tmp_path / f"requirements{name}.txt").write_text(text)
    _git(tmp_path, "init", "--quiet")
    _commit(tmp_path)
    return tmp_path


def _git(folder: Path, *words: str) -> None:
    subprocess.run([*_GIT, *words], cwd=folder, check=True, capture_output=True)


def _commit(folder: Path) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--allow-empty", "--message", "x")


def _refusal(checkout: Path, audited: int = 0) -> str:
    """The last line of a release that fails."""
    environment = {**os.environ, "PATH": f"{checkout / 'bin'}:/usr/bin:/bin", "AUDITED": str(audited)}
    run = subprocess.run(
        [str(checkout / "script" / "release")],
        env=environment, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode != 0
    assert not (checkout / "dist").exists()
    return run.stderr.splitlines()[-1]


def test_a_version_without_a_dated_section_is_none(checkout: Path) -> None:
    """Users read there what changed."""
    (checkout / "CHANGELOG.md").write_text(f"## [Unreleased]\n\n## [{VERSION}]\n")
    _commit(checkout)
    assert f"CHANGELOG.md has no section '## [{VERSION}] - YEAR-MONTH-DAY'" in _refusal(checkout)


def test_what_is_not_committed_is_not_released(checkout: Path) -> None:
    """Nobody could build it again."""
    (checkout / "settings.py").touch()
    assert "something is not committed" in _refusal(checkout)


def test_a_lock_that_is_not_that_of_the_project_is_refused(checkout: Path) -> None:
    """What was tested is what is installed; the look itself changes nothing."""
    (checkout / "requirements-dev.txt").write_text("a==2\n")
    _commit(checkout)
    assert "the locks are not those of pyproject.toml: script/lock" in _refusal(checkout)
    assert (checkout / "requirements-dev.txt").read_text() == "a==2\n"


def test_a_known_vulnerability_or_no_answer_ends_it(checkout: Path) -> None:
    """The build begins only after it, and this checkout has nothing for it."""
    assert "the audit found something, or could not ask" in _refusal(checkout, audited=1)
    assert "hatchling" in _refusal(checkout) or ".venv/bin/python" in _refusal(checkout)
