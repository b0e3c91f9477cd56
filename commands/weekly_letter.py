"""`pulse letter`: one person's week as one printed page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from commands.common import prepare


def letter(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose: an id or an e-mail.")],
    until: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="The week's last day, such as 2026-01-31; by default yesterday."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="The file to write; by default weekly-letter-ID-DAY.html here."),
    ] = None,
) -> None:
    """Write one person's weekly letter: the week against the one before, as one HTML page that prints."""
    from commands.weekly_letter_user import write_letter

    path = write_letter(prepare(sys.stderr), user, until, output)
    typer.echo(f"Weekly letter: {path.absolute()} (open it in a browser; it works offline)")
