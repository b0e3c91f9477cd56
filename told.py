"""Makes every command that a program, page or message shows to a person, so that it runs as it is shown."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

# The folder of all modules: a checkout, or the package that pip installed.
HOME = Path(__file__).resolve().parent
DISTRIBUTION = "spark-health-analytics"
# Of each module that only an extra installs, the extra.
EXTRAS = {
    "altair": "dashboard",
    "confluent_kafka": "kafka",
    "deltalake": "delta",
    "duckdb": "dashboard",
    "mcp": "mcp",
    "openlineage": "openlineage",
    "openpyxl": "dashboard",
    "opentelemetry": "otlp",
    "psycopg": "postgres",
    "streamlit": "dashboard",
}
# What no script of a checkout installs, by its extra.
_BESIDE = {"openlineage": "openlineage-python", "otlp": "opentelemetry-exporter-otlp-proto-http"}
_LAUNCHER = HOME / "pulse"


def told(words: str, *more: object, **settings: object) -> str:
    """Return the command `pulse` with `words` and the arguments `more`, as it works where this process runs.

    `settings` are what the command needs in its environment, such as the folders of a demo.
    """
    before = [f"{name}={_quoted(value)}" for name, value in settings.items()]
    return " ".join([*before, *_program(), words, *map(_quoted, more)])


def own_process(*words: str) -> list[str]:
    """Return the program and arguments with which this Python runs the command `pulse` with `words`."""
    begins = [str(_LAUNCHER)] if _LAUNCHER.is_file() else ["-m", "pulse"]
    return [sys.executable, *begins, *words]


def install(extra: str = "") -> str:
    """Return the command that installs the packages, with those of an `extra`."""
    if _LAUNCHER.is_file() and extra not in _BESIDE:
        # What a model asks is what the pages read.
        option = " --dashboard" if extra in ("dashboard", "mcp") else ""
        setup = Path("script", "setup.ps1" if os.name == "nt" else "setup")
        return f"{setup if _is_here(HOME) else _quoted(HOME / setup)}{option}"
    python = _quoted(sys.executable)
    # uv makes environments without pip.
    pip = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    if _LAUNCHER.is_file():
        return f"{pip} {_BESIDE[extra]}"
    return f"{pip} '{DISTRIBUTION}{extra and f'[{extra}]'}'"


def _program() -> list[str]:
    """The launcher of a checkout, by the shortest name that works here, or what pip installed."""
    if _LAUNCHER.is_file():
        # Windows does not know of `#!`.
        before = ["python"] if os.name == "nt" else []
        return [*before, ("pulse" if before else "./pulse") if _is_here(HOME) else _quoted(_LAUNCHER)]
    installed = Path(sys.executable).with_name("pulse")
    found = shutil.which("pulse")
    if installed.is_file() and (found is None or not Path(found).samefile(installed)):
        return [_quoted(installed)]
    return ["pulse"]


def _is_here(folder: Path) -> bool:
    try:
        return Path.cwd() == folder
    except OSError:
        return False


def _quoted(value: object) -> str:
    return shlex.quote(str(value))
