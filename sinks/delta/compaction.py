"""Many small files of a Delta table into few large ones, and away with files that were replaced."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from contracts import ServiceError
from sinks.delta.ledgers import Ledgers
from sinks.delta.table import unusable
from sinks.parquet.compaction import LARGE_BYTES


@dataclass(frozen=True, slots=True)
class TableCompaction:
    """The files that were merged, what they became, and those that were removed because long replaced."""

    files_before: int
    files_after: int
    files_removed: int


def compact_table(
    address: str, options: Mapping[str, str], keep_seconds: float, target_size: int = LARGE_BYTES
) -> TableCompaction | None:
    """Merge the small files of the table at `address`; None without a table. Batches may be added meanwhile.

    Files that were replaced at least `keep_seconds` ago (full hours, rounded up) are removed. Files that no
    commit ever named stay: nothing tells what a killed process has left from what another is about to commit.
    Raises ServiceError; the table is then as it was.
    """
    from deltalake import DeltaTable, WriterProperties
    from deltalake.exceptions import DeltaError

    try:
        if not DeltaTable.is_deltatable(address, dict(options)):
            return None
        table = DeltaTable(address, storage_options=dict(options))
        zstd = WriterProperties(compression="ZSTD")
        found = table.optimize.compact(target_size=target_size, writer_properties=zstd)
        hours = math.ceil(keep_seconds / 3_600)
        removed = table.vacuum(hours, dry_run=False, enforce_retention_duration=False)
        Ledgers(address, options).merge(table)
    except (OSError, DeltaError) as error:
        raise ServiceError(unusable(address, error)) from error
    return TableCompaction(found["numFilesRemoved"], found["numFilesAdded"], len(removed))
