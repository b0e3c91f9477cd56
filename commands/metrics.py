"""`main.py metrics`: how a pipeline is doing, as figures for people and scripts."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Column

from commands.common import AsJson, prepare
from commands.terminal import console, print_json, table

app = typer.Typer(help="How a pipeline is doing: throughput, latency, batch time, duplicates.")


@app.callback()
def metrics() -> None:
    """How a pipeline is doing: throughput, latency, batch time, duplicates."""


@app.command("ecommerce")
def metrics_ecommerce(
    minutes: Annotated[float, typer.Option(min=0.1, max=1440, help="How many minutes back.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """The e-commerce pipeline's last minutes, from PostgreSQL."""
    from pipelines.ecommerce.figures import as_document, load_figures, shown_figures

    figures = load_figures(prepare(sys.stderr), timedelta(minutes=minutes))
    if as_json:
        print_json(as_document(figures))
        return
    rows = table("figure", Column("value", overflow="fold"))
    for name, value in shown_figures(figures).items():
        rows.add_row(name, value)
    console().print(rows)
