"""`main.py esports`: upkeep of the esports pipeline's Parquet."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import pyarrow as pa
import typer

from analytics.esports import DATASETS
from commands.common import prepare
from commands.terminal import print_json, progress
from contracts import ConfigurationError, ServiceError
from sinks.generations import Generations
from sinks.parquet_compaction import Compaction, compact

app = typer.Typer(help="Upkeep of the esports pipeline's Parquet.")


@app.callback()
def esports() -> None:
    """Upkeep of the esports pipeline's Parquet."""


@app.command("compact")
def esports_compact(
    keep_minutes: Annotated[
        float, typer.Option(min=0, help="Files that were replaced stay so long for who still reads them.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one JSON object.")] = False,
) -> None:
    """Merge small batches into few large files; safe while the stream runs and while others read."""
    settings = prepare(sys.stderr)
    results: dict[str, Compaction] = {}
    for dataset in DATASETS:
        generations = Generations(settings.esports_output_path.absolute(), dataset.name)
        if not generations.path.is_symlink():
            continue
        try:
            with progress(f"Compacting {dataset.name}"):
                results[dataset.name] = compact(generations, keep_seconds=keep_minutes * 60)
        except (OSError, pa.ArrowException) as error:
            raise ServiceError(
                f"{generations.path} was not compacted and is as it was: {error}. Look at the file that is "
                "named, or make room on the disk; then start again."
            ) from error
    if not results:
        raise ConfigurationError(
            f"There is no dataset in ESPORTS_OUTPUT_PATH={settings.esports_output_path}: correct it, or "
            "start python main.py --pipeline esports first."
        )
    if as_json:
        print_json({name: asdict(result) for name, result in results.items()})
        return
    for name, result in results.items():
        typer.echo(_shown(name, result))


def _shown(name: str, result: Compaction) -> str:
    if not result.batches:
        return f"{name}: nothing to merge."
    return (
        f"{name}: {result.batches:,} batches with {result.files_before:,} files became one with "
        f"{result.files_after:,}; {result.rows:,} rows."
    )
