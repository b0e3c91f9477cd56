"""`pulse dashboard`: the pages in the browser."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from commands.common import one_of
from contracts import ConfigurationError
from pipelines.catalog import PIPELINES
from told import HOME, install

_PAGES = [one.name for one in PIPELINES.values() if one.demo_pages]


def dashboard(
    context: typer.Context,
    demo: Annotated[
        bool, typer.Option("--demo", help="Simulations of all pipelines instead of what is configured.")
    ] = False,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", help="Only the demo of this one.", **one_of(_PAGES))
    ] = None,
) -> None:
    """Show the pages at http://127.0.0.1:8501. Further options go to Streamlit (--server.port 8600)."""
    if pipeline and not demo:
        raise ConfigurationError("--pipeline belongs to --demo: without it all that is configured is shown.")
    if find_spec("streamlit") is None:
        raise ConfigurationError(f"The dashboard's packages are missing: {install('dashboard')}")
    ours = [*(["--demo"] if demo else []), *(["--pipeline", pipeline] if pipeline else [])]
    page = str(HOME / "dashboard" / "app.py")
    command = [sys.executable, "-m", "streamlit", "run", page, *context.args, "--", *ours]
    if os.name == "nt":
        raise typer.Exit(subprocess.run(command, check=False).returncode)
    # Signals are Streamlit's own matter.
    os.execv(sys.executable, command)  # noqa: S606  no shell is wanted
