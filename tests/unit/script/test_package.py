"""The archive for a cluster: whole, and the same each time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.documents import ROOT


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
