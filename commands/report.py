"""`pulse report`: what a pipeline did in the last days, as one HTML file that opens offline and prints."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated

import typer

from commands.common import PipelineOption, prepare
from commands.config import setting_rows
from contracts import ConfigurationError
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES


def report(
    pipeline: PipelineOption = DEFAULT_PIPELINE,
    days: Annotated[int, typer.Option("--days", min=1, max=3_650, help="How many days back.")] = 7,
    output: Annotated[
        Path | None, typer.Option("--output", help="The file to write; by default NAME-report.html here.")
    ] = None,
) -> None:
    """Write what it did in the last days as one HTML file, without anybody's data in it."""
    from pipelines.engine.report import write_report

    settings, one = prepare(), PIPELINES[pipeline]
    path = output or Path(f"{one.name}-report.html")
    since = datetime.now(timezone.utc) - timedelta(days=days)
    try:
        write_report(
            path, one, settings.log_directory, one.open_letters(settings), since, setting_rows(settings)
        )
    except OSError as error:
        raise ConfigurationError(
            f"The report cannot be written: {error}. Let this user read LOG_DIRECTORY and DLQ_DIRECTORY and "
            "write --output."
        ) from None
    typer.echo(f"Report: {path.absolute()} (open it in a browser; it works offline)")
