"""Runs a command that was shown, as a person does who knows nothing of this process's environment."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.waiting import TIMEOUT_SECONDS


def in_a_shell(command: str, folder: Path) -> str:
    """What it prints in `folder`; it must succeed."""
    run = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
