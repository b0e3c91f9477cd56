"""Lets `./pulse` and `python main.py` work in a checkout that script/setup made ready, with any Python.

It stands before all other imports, so it needs nothing but Python itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

_ENVIRONMENT = Path(__file__).resolve().parent / ".venv"
_NEEDED = ("typer", "pyspark")


def take_own_python() -> None:
    """Go on in .venv's Python when this one lacks the packages; without one, end with 2 and the remedy.

    The Java that script/setup linked counts as JAVA_HOME where none is set.
    """
    java = _ENVIRONMENT / "java"
    if java.is_dir() and not os.environ.get("JAVA_HOME"):
        os.environ["JAVA_HOME"] = str(java)
    missing = [name for name in _NEEDED if find_spec(name) is None]
    # Under spark-submit the Python is the cluster's.
    if not missing or "PYSPARK_GATEWAY_PORT" in os.environ:
        return
    windows = sys.platform == "win32"
    python = _ENVIRONMENT / ("Scripts/python.exe" if windows else "bin/python")
    if not python.exists() or Path(sys.prefix) == _ENVIRONMENT:
        root = _ENVIRONMENT.parent
        name = "setup.ps1" if windows else "setup"
        setup = Path("script", name) if Path.cwd() == root else root / "script" / name
        sys.stderr.write(
            f"{sys.executable} lacks the packages ({', '.join(missing)}). Run {setup}, which puts them "
            "into .venv, or pip install -r requirements.txt.\n"
        )
        sys.exit(2)
    command = [str(python), *sys.argv]
    if windows:
        sys.exit(subprocess.run(command, check=False).returncode)
    os.execv(python, command)  # noqa: S606  no shell is wanted
