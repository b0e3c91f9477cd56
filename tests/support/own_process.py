"""Programs of tests that need a Python, a Java and a Spark of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.class_archive import java_environment
from tests.support.documents import ROOT


def run_program(program: str, folder: Path, short_run: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the text `program` in `folder`, which is its argument, with this checkout's modules.

    Without `short_run` Java is started as for a user.
    """
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=folder,
        env={**os.environ, **(java_environment() if short_run else {}), "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
