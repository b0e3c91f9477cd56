"""`main.py esports`: upkeep of the esports pipeline's Parquet."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from commands.common import prepare
from commands.compaction import KeepMinutes, compact_datasets

app = typer.Typer(help="Upkeep of the esports pipeline's Parquet.")


@app.callback()
def esports() -> None:
    """Upkeep of the esports pipeline's Parquet."""


@app.command("compact")
def esports_compact(
    keep_minutes: KeepMinutes = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one JSON object.")] = False,
) -> None:
    """Merge small batches into few large files; safe while the stream runs and while others read."""
    from analytics.esports.rules import DATASETS

    where = "ESPORTS_OUTPUT_PATH", prepare(sys.stderr).esports_output_path
    compact_datasets("esports", where, [dataset.name for dataset in DATASETS], keep_minutes, as_json)
