"""`pulse prepare`: Spark's classes in one file, so that every start takes a third less work."""

from __future__ import annotations

import typer

from commands.common import FAILED


def prepare() -> None:
    """Prepare Spark's classes, so that every start takes a third less work (half a minute, once)."""
    from commands.class_archive import main

    if main():
        raise typer.Exit(FAILED)
