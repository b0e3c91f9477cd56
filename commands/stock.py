"""`main.py stock`: upkeep of the stock pipeline's cold store."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from commands.common import prepare
from commands.compaction import KeepMinutes, compact_datasets

app = typer.Typer(help="Upkeep of the stock pipeline's cold store.")


@app.callback()
def stock() -> None:
    """Upkeep of the stock pipeline's cold store."""


@app.command("compact")
def stock_compact(
    keep_minutes: KeepMinutes = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one JSON object.")] = False,
) -> None:
    """Merge small batches into few large files; safe while the stream runs and while others read."""
    from sinks.stock.archive import DATASET

    where = "STOCK_COLD_PATH", prepare(sys.stderr).stock_cold_path
    compact_datasets("stock", where, [DATASET], keep_minutes, as_json)
