"""The archive for a cluster, and the wheel: whole, and without anything that nobody asked for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

from tests.support.documents import ROOT
from tests.support.shell import in_a_shell
from tests.test_architecture import PROJECT_FILES


def _package(file: Path) -> bytes:
    subprocess.run([str(ROOT / "script" / "package"), str(file)], check=True, capture_output=True)
    return file.read_bytes()


def test_the_command_line_needs_the_script_and_the_archive_alone(tmp_path: Path) -> None:
    """In a folder without the checkout every import comes from the archive; packing twice makes the same."""
    archive = tmp_path / "out" / "code.zip"
    assert _package(archive) == _package(tmp_path / "again.zip")
    for script in ("main.py", "process_batch.py"):
        shutil.copy(ROOT / script, tmp_path / script)
        environment = {**os.environ, "PYTHONPATH": str(archive), "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(
            [sys.executable, script, "--help"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert "Usage" in run.stdout


def _place(pulse: Path) -> Path:
    """Where pip put the packages of the command."""
    (place,) = pulse.parents[1].glob("lib/python*/site-packages")
    return place


def test_pip_installs_one_name_of_ours_with_every_module_below(installed_pulse: Path) -> None:
    """A program beside it may have a `settings` or `sinks` of its own; a new room is not forgotten."""
    place = _place(installed_pulse)
    (info,) = place.glob("*.dist-info")
    assert {path.name for path in place.iterdir()} == {"others.pth", "pulse", info.name}
    ours = {file.relative_to(ROOT) for file in PROJECT_FILES}
    there = {file.relative_to(place / "pulse") for file in (place / "pulse").rglob("*.py")}
    # The wheel's own.
    assert there == ours | {Path("__init__.py"), Path("__main__.py")}
    for name in ("dashboard/.streamlit/config.toml", "deploy/spark/log4j2.properties"):
        assert (place / "pulse" / name).read_text() == (ROOT / name).read_text()
    assert os.access(place / "pulse" / "script" / "postgres-server", os.X_OK)
    extras = Distribution.at(info).metadata.get_all("Provides-Extra")
    assert extras == ["dashboard", "delta", "dev", "docs", "kafka", "mcp", "openlineage", "otlp", "postgres"]


def test_what_pip_installed_needs_no_checkout_and_shows_itself(installed_pulse: Path, tmp_path: Path) -> None:
    """Also as `python -m pulse`; a command that it shows runs as it is shown."""
    assert re.fullmatch(r"pulse \d+\.\d+\.\d+\n", in_a_shell(f"{installed_pulse} --version", tmp_path))
    python = installed_pulse.with_name("python")
    shown = in_a_shell(f"{python} -m pulse stock dlq show x 2>&1 || true", tmp_path)
    (hint,) = re.findall(r"letter's id; `(.*)` shows them", shown)
    assert hint == f"{installed_pulse} stock dlq list --all"
    assert "dead-letter queue of stock is empty" in in_a_shell(hint, tmp_path)
    assert list(tmp_path.iterdir()) == []
