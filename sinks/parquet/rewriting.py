"""Changes rows of a dataset: what comes out becomes the next generation at once, as in a compaction.

The ledgers stay, so that no record comes in again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from durable import sync_file, sync_folder
from sinks.parquet.compaction import complete_with_rest
from sinks.parquet.dataset import LEDGER
from sinks.parquet.generations import Generations

# A batch of rows with some of them changed, and how many these are.
Change = Callable[[pa.RecordBatch], tuple[pa.RecordBatch, int]]


def rewrite_rows(dataset: Generations, change: Change, dry_run: bool) -> int:
    """Let `change` have all rows; returns how many it changed. With `dry_run` only count them.

    Batches may be added meanwhile. Earlier generations are removed at once, since they hold what was to go: a
    reader who is still there begins again. Raises AlreadyRunningError when another process compacts.
    """
    if not dataset.path.is_symlink():
        return 0
    if dry_run:
        return sum(_count(batch, change) for batch in batches(dataset.current()))
    with dataset.compacting():
        current = dataset.current()
        changed = {batch: count for batch in batches(current) if (count := _count(batch, change))}
        if changed:
            with dataset.building() as building:
                complete = building / "complete"
                complete.mkdir()
                for batch in changed:
                    _copy(batch, complete / batch.name, change)
                complete_with_rest(dataset, complete, current, changed)
        dataset.remove_old(0)
    return sum(changed.values())


def batches(generation: Path) -> list[Path]:
    """The folders of the batches in `generation`."""
    return sorted(folder for folder in generation.iterdir() if folder.name.startswith("batch="))


def _count(batch: Path, change: Change) -> int:
    return sum(
        change(some)[1] for file in batch.rglob("*.parquet") for some in pq.ParquetFile(file).iter_batches()
    )


def _copy(batch: Path, target: Path, change: Change) -> None:
    target.mkdir()
    shutil.copyfile(batch / LEDGER, target / LEDGER)
    sync_file(target / LEDGER)
    for file in sorted(batch.rglob("*.parquet")):
        source = pq.ParquetFile(file)
        written = target / file.relative_to(batch)
        written.parent.mkdir(exist_ok=True)
        with pq.ParquetWriter(written, source.schema_arrow, compression="zstd") as writer:
            for some in source.iter_batches():
                writer.write_batch(change(some)[0])
        sync_file(written)
        sync_folder(written.parent)
    written_at = batch.stat().st_mtime_ns
    os.utime(target, ns=(written_at, written_at))
    sync_folder(target)
