"""Many small batch folders of a dataset into one of few large files.

The rows of the small batches are written again, partition by partition; large batches stay as they are,
through hard links. All of it becomes the next generation at once (sinks/parquet/generations.py).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from contracts import ServiceError
from durable import sync_file, sync_folder
from sinks.parquet.dataset import LEDGER, Ledger, read_ledger
from sinks.parquet.generations import Generations
from sinks.parquet.offset_ranges import OffsetRanges

LARGE_BYTES = 128 * 1024 * 1024
KEEP_SECONDS = 3_600.0
_ROWS_AT_ONCE = 128 * 1024


@dataclass(frozen=True, slots=True)
class Compaction:
    """The numbers of a compaction; `files_before` counts only files of merged batches."""

    batches: int = 0
    files_before: int = 0
    files_after: int = 0
    rows: int = 0


def small_batches(generation: Path, large_bytes: int = LARGE_BYTES) -> list[Path]:
    """The batch folders with less than `large_bytes` of Parquet, in the order of their names."""
    batches = sorted(folder for folder in generation.iterdir() if folder.name.startswith("batch="))
    return [
        batch
        for batch in batches
        if sum(file.stat().st_size for file in batch.rglob("*.parquet")) < large_bytes
    ]


def compact(
    dataset: Generations, large_bytes: int = LARGE_BYTES, keep_seconds: float = KEEP_SECONDS
) -> Compaction:
    """Merge the small batches of `dataset` into one; batches may be added meanwhile.

    A generation that was replaced at least `keep_seconds` ago is removed; a reader may take until then.
    Raises AlreadyRunningError when another process compacts it, and ServiceError when the merged files do
    not hold the same rows; the dataset is then as it was.
    """
    with dataset.compacting():
        dataset.remove_old(keep_seconds)
        current = dataset.current()
        merged = small_batches(current, large_bytes)
        if len(merged) < 2:
            return Compaction()
        with dataset.building() as building:
            complete = building / "complete"
            # Names of batches are never used twice, and a generation is never merged twice.
            batch = complete / f"batch=merged-{current.name}"
            batch.mkdir(parents=True)
            result = _merge(merged, batch, large_bytes)
            ledger = merge_ledgers(read_ledger(small) for small in merged)
            (batch / LEDGER).write_bytes(ledger.as_bytes())
            sync_file(batch / LEDGER)
            sync_folder(batch)
            # Its rows are as new as the newest of what was merged, whenever that is done.
            newest = max(small.stat().st_mtime_ns for small in merged)
            os.utime(batch, ns=(newest, newest))
            complete_with_rest(dataset, complete, current, merged)
    return result


def complete_with_rest(
    dataset: Generations, complete: Path, current: Path, without: Collection[Path]
) -> None:
    """Make `complete` the newest generation, with all of `current` that is not in `without`."""
    with dataset.changing():
        for other in current.iterdir():
            if other not in without:
                link_tree(other, complete / other.name)
        sync_folder(complete)
        dataset.replace(complete)


def merge_ledgers(ledgers: Iterable[Ledger]) -> Ledger:
    """Merge `ledgers` into one ledger, without the outcomes of their batches."""
    batches: list[str] = []
    consumed, rescued = OffsetRanges(), OffsetRanges()
    for ledger in ledgers:
        batches += ledger.batches
        consumed.update(ledger.consumed)
        rescued.update(ledger.rescued)
    return Ledger(tuple(batches), consumed, rescued)


def _merge(batches: list[Path], target: Path, large_bytes: int) -> Compaction:
    partitions: dict[Path, list[Path]] = defaultdict(list)
    for batch in batches:
        for file in sorted(batch.rglob("*.parquet")):
            partitions[file.parent.relative_to(batch)].append(file)
    rows = files_after = 0
    for partition, files in sorted(partitions.items()):
        folder = target / partition
        folder.mkdir(parents=True)
        expected = sum(pq.read_metadata(file).num_rows for file in files)
        written = _write_partition(files, folder, large_bytes)
        if sum(pq.read_metadata(file).num_rows for file in written) != expected:
            raise ServiceError(
                f"The merged files of {partition} do not have the {expected} rows they should."
            )
        for name in (partition, *partition.parents):
            sync_folder(target / name)
        rows += expected
        files_after += len(written)
    return Compaction(len(batches), sum(map(len, partitions.values())), files_after, rows)


def _write_partition(files: list[Path], folder: Path, large_bytes: int) -> list[Path]:
    """Write the rows of `files` in their order into as many files of about `large_bytes` as they need."""
    # Spark's description of a file's columns would be wrong where a later file has another one.
    schema = pa.unify_schemas(
        [pq.read_schema(file).remove_metadata() for file in files], promote_options="permissive"
    )
    source = ds.dataset([str(file) for file in files], schema=schema, format="parquet")
    written: list[Path] = []
    writer: pq.ParquetWriter | None = None
    for table in _tables(source):
        if writer is None:
            written.append(folder / f"part-{len(written):05d}.parquet")
            writer = pq.ParquetWriter(written[-1], schema, compression="zstd")
        writer.write_table(table, row_group_size=_ROWS_AT_ONCE)
        if written[-1].stat().st_size >= large_bytes:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()
    for path in written:
        sync_file(path)
    return written


def _tables(source: ds.Dataset) -> Iterator[pa.Table]:
    """The rows in order, `_ROWS_AT_ONCE` or a few more at a time."""
    waiting: list[pa.RecordBatch] = []
    scanner = source.scanner(batch_size=_ROWS_AT_ONCE, batch_readahead=2, fragment_readahead=2)
    for batch in scanner.to_batches():
        waiting.append(batch)
        if sum(part.num_rows for part in waiting) >= _ROWS_AT_ONCE:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def link_tree(source: Path, target: Path) -> None:
    """Make `target` another name for all files of `source`, with the times of its folders."""
    target.mkdir()
    for entry in source.iterdir():
        if entry.is_dir():
            link_tree(entry, target / entry.name)
        else:
            os.link(entry, target / entry.name)
    # Readers may pass by batches that were written long ago.
    written = source.stat().st_mtime_ns
    os.utime(target, ns=(written, written))
    sync_folder(target)
