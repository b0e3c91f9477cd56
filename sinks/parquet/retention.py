"""Takes old rows out of a dataset: what is left becomes the next generation at once, as in a compaction.

The ledgers stay, so that no record comes in again, whatever becomes of Spark's checkpoint.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from durable import sync_file, sync_folder
from sinks.parquet.compaction import KEEP_SECONDS, complete_with_rest
from sinks.parquet.dataset import LEDGER
from sinks.parquet.generations import Generations


def remove_rows(dataset: Generations, column: str, before: datetime, dry_run: bool) -> int:
    """Remove the rows whose time in `column` is before `before`; returns how many. A row without one stays.

    With `dry_run` only count them. Batches may be added meanwhile. A generation that was replaced an hour
    ago is removed; a reader may take until then. Raises AlreadyRunningError when another process compacts.
    """
    if not dataset.path.is_symlink():
        return 0
    is_old = pc.field(column) < before
    if dry_run:
        return sum(_count_old(batch, is_old) for batch in _batches(dataset.current()))
    with dataset.compacting():
        dataset.remove_old(KEEP_SECONDS)
        current = dataset.current()
        old = {batch: count for batch in _batches(current) if (count := _count_old(batch, is_old))}
        if not old:
            return 0
        with dataset.building() as building:
            complete = building / "complete"
            complete.mkdir()
            for batch in old:
                _copy(batch, complete / batch.name, is_old)
            complete_with_rest(dataset, complete, current, old)
    return sum(old.values())


def _batches(generation: Path) -> list[Path]:
    return sorted(folder for folder in generation.iterdir() if folder.name.startswith("batch="))


def _count_old(batch: Path, is_old: pc.Expression) -> int:
    # The files' own statistics answer for most of them.
    files = [str(file) for file in sorted(batch.rglob("*.parquet"))]
    return sum(ds.dataset(file, format="parquet").count_rows(filter=is_old) for file in files)


def _copy(batch: Path, target: Path, is_old: pc.Expression) -> None:
    """Write the rows of `batch` that are not old, with its ledger and its time."""
    target.mkdir()
    shutil.copyfile(batch / LEDGER, target / LEDGER)
    sync_file(target / LEDGER)
    is_kept = ~is_old | pc.is_null(is_old)
    for file in sorted(batch.rglob("*.parquet")):
        source = ds.dataset(str(file), format="parquet")
        if not source.count_rows(filter=is_kept):
            continue
        written = target / file.relative_to(batch)
        written.parent.mkdir(exist_ok=True)
        with pq.ParquetWriter(written, source.schema, compression="zstd") as writer:
            for some in source.scanner(filter=is_kept).to_batches():
                writer.write_batch(some)
        sync_file(written)
        sync_folder(written.parent)
    written_at = batch.stat().st_mtime_ns
    os.utime(target, ns=(written_at, written_at))
    sync_folder(target)
