"""`pulse export`: one person's days and results in the forms that other systems read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from commands.common import one_of, prepare

FORMATS = ("csv", "fhir", "omh")
_FORMAT = (
    "csv: days and results with both kinds of anomalies; fhir: R4 Observations, one a line; omh: the days as "
    "Open mHealth data points, one a line."
)


def export(
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose: an id or an e-mail.")],
    form: Annotated[str, typer.Option("--format", help=_FORMAT, **one_of(FORMATS))] = FORMATS[0],
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="The first day, such as 2026-01-31; by default, all.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="The last day.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The file to write; by default, standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Put out one person's days and results as CSV, FHIR or Open mHealth."""
    from commands.export_user import export_user

    export_user(prepare(sys.stderr), user, form, (since, until), (output, force))
