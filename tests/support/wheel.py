"""The project as pip installs it, in an environment whose other packages are those of the tests."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

from filelock import FileLock

from tests.support.documents import ROOT


def installed_pulse(folder: Path) -> Path:
    """The command `pulse` in `folder`; the processes of a test run that ask for the same one share it."""
    with FileLock(folder.with_suffix(".lock")):
        pulse = folder / "bin" / "pulse"
        if not pulse.exists():
            _install(folder)
        return pulse


def build(target: str, folder: Path) -> Path:
    """A `wheel` or `sdist` of this checkout."""
    command = ["-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
    (made,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


def _install(folder: Path) -> None:
    wheel = build("wheel", folder.with_suffix(".dist"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    (place,) = folder.glob("lib/python*/site-packages")
    (place / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
