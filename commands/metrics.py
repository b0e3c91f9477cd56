"""`main.py metrics`: how a pipeline is doing, as figures for people and scripts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column

from commands.common import AsJson, prepare
from commands.terminal import console, print_json, table
from pipelines.catalog import PIPELINES

if TYPE_CHECKING:
    from pipelines.engine.pipeline import Figures
    from settings import Settings

app = typer.Typer(help="How a pipeline is doing: throughput, latency, batch time, duplicates.")


@app.callback()
def metrics() -> None:
    """How a pipeline is doing: throughput, latency, batch time, duplicates."""


def figures_command(title: str, figures: Callable[[Settings, timedelta], Figures]) -> Callable[..., None]:
    """The command that shows `figures` of the pipeline that people know as `title`."""

    def _metrics(
        minutes: Annotated[float, typer.Option(min=0.1, max=1440, help="How many minutes back.")] = 5.0,
        as_json: AsJson = False,
    ) -> None:
        found = figures(prepare(sys.stderr), timedelta(minutes=minutes))
        if as_json:
            print_json(found.document)
            return
        rows = table("figure", Column("value", overflow="fold"))
        for figure, value in found.shown.items():
            rows.add_row(figure, value)
        console().print(rows)

    _metrics.__doc__ = f"The {title} pipeline's last minutes."
    return _metrics


for declared in PIPELINES.values():
    if declared.figures:
        app.command(declared.name)(figures_command(declared.title, declared.figures))
