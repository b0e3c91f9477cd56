"""`main.py inspect`: what is in the database, and one user's days and results."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from commands.common import AsJson, prepare


def inspect(
    user: Annotated[
        str | None, typer.Option(help="One user's last 30 days and results, by id or e-mail.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What is in the database: counts, dates, users not yet recomputed, the newest documents; or one user."""
    from commands.inspect_database import inspect_database

    inspect_database(prepare(sys.stderr), user, as_json)
