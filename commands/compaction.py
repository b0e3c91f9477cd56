"""`main.py NAME compact`: merging the small batches of Parquet datasets, whichever pipeline wrote them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from commands.common import AsJson, prepare
from commands.terminal import print_json
from contracts import ConfigurationError, ServiceError
from monitoring.progress_bar import progress
from sinks.parquet.generations import Generations
from told import told

if TYPE_CHECKING:
    from contracts.object_store import ObjectStore
    from pipelines.engine.pipeline import Parquet
    from sinks.delta.compaction import TableCompaction
    from sinks.parquet.compaction import Compaction

Result = TypeVar("Result", "Compaction", "TableCompaction")
_KEEP = "Files that were replaced stay so long for who still reads them."


def upkeep(pipeline: str, parquet: Parquet) -> typer.Typer:
    """The commands for the `parquet` that the pipeline of this name declares, as `main.py` has them."""
    app = typer.Typer()

    @app.callback(help=f"Upkeep of the {pipeline} pipeline's Parquet.")
    def _upkeep() -> None:
        pass

    app.command("compact")(compaction(pipeline, parquet))
    return app


def compaction(pipeline: str, parquet: Parquet) -> Callable[..., None]:
    """The command that merges the `parquet` of the pipeline of this name."""

    def compact(
        keep_minutes: Annotated[float, typer.Option(min=0, help=_KEEP)] = 60.0,
        as_json: AsJson = False,
    ) -> None:
        """Merge small batches into few large files; safe while the stream runs and while others read."""
        settings = prepare(sys.stderr)
        if tables := parquet.delta_setting and getattr(settings, parquet.delta_setting.lower()):
            where = parquet.delta_setting, str(tables)
            compact_tables(pipeline, where, settings.object_store, parquet.datasets, keep_minutes, as_json)
            return
        folder = getattr(settings, parquet.setting.lower())
        compact_datasets(pipeline, (parquet.setting, folder), parquet.datasets, keep_minutes, as_json)

    return compact


def compact_datasets(
    pipeline: str, where: tuple[str, Path], names: Sequence[str], keep_minutes: float, as_json: bool
) -> None:
    """Merge those of the datasets `names` that are there, and tell what became of each.

    `where` is the setting that names their folder, and the folder.

    Raises ConfigurationError when there is none, ServiceError when one cannot be merged and is as it was.
    """
    import pyarrow as pa

    from sinks.parquet.compaction import compact

    setting, output = where
    results: dict[str, Compaction] = {}
    for name in names:
        generations = Generations(output.absolute(), name)
        if not generations.path.is_symlink():
            continue
        try:
            with progress(f"Compacting {name}"):
                results[name] = compact(generations, keep_seconds=keep_minutes * 60)
        except (OSError, pa.ArrowException) as error:
            raise ServiceError(
                f"{generations.path} was not compacted and is as it was: {error}. Look at the file that is "
                "named, or make room on the disk; then start again."
            ) from error
    _tell(pipeline, f"{setting}={output}", results, _folder_shown, as_json)


def compact_tables(
    pipeline: str,
    where: tuple[str, str],
    store: ObjectStore,
    names: Sequence[str],
    keep_minutes: float,
    as_json: bool,
) -> None:
    """The same as `compact_datasets` for the Delta tables `names` below `where`, which `store` may hold."""
    from sinks.delta.compaction import compact_table

    setting, root = where
    results: dict[str, TableCompaction] = {}
    for name in names:
        address = f"{root}/{name}"
        with progress(f"Compacting {name}"):
            result = compact_table(address, store.options(address), keep_minutes * 60)
        if result:
            results[name] = result
    _tell(pipeline, f"{setting}={root}", results, _table_shown, as_json)


def _tell(
    pipeline: str,
    where: str,
    results: Mapping[str, Result],
    shown: Callable[[Result], str],
    as_json: bool,
) -> None:
    if not results:
        start = told(f"{pipeline} run")
        raise ConfigurationError(f"There is no dataset in {where}: correct it, or start {start} first.")
    if as_json:
        print_json({name: asdict(result) for name, result in results.items()})
        return
    for name, result in results.items():
        typer.echo(f"{name}: {shown(result)}")


def _folder_shown(result: Compaction) -> str:
    if not result.batches:
        return "nothing to merge."
    return (
        f"{result.batches:,} batches with {result.files_before:,} files became one with "
        f"{result.files_after:,}; {result.rows:,} rows."
    )


def _table_shown(result: TableCompaction) -> str:
    files = f"{result.files_before:,} files became {result.files_after:,}"
    merged = files if result.files_before else "nothing to merge"
    return f"{merged}; {result.files_removed:,} files that had been replaced are removed."
