"""The datasets as a run writes them: folders of Parquet, or Delta tables where ESPORTS_DELTA_PATH says so."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pyarrow as pa

from analytics.esports.rules import ORIGIN_FIELDS, Dataset
from contracts.object_store import ObjectStore
from sinks.parquet.dataset import STAGING, Ledger, ParquetDataset
from sinks.parquet.offset_ranges import OffsetRanges

_ARROW = {
    "STRING": pa.string(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}


class Store(Protocol):
    """A dataset that takes whole batches, each once. Whoever writes holds the lock of `staging`."""

    staging: Path
    consumed: OffsetRanges
    rescued: OffsetRanges

    def open(self) -> None:
        """Make what is missing and learn what is there. Raises ConfigurationError or ServiceError."""

    def find(self, batch_id: str) -> Ledger | None:
        """Returns the ledger of a batch; None when the dataset does not have it."""

    def stage(self, batch_id: str) -> Path:
        """Make an empty folder for the files of a batch; no reader looks there."""
        ...

    def sync(self, staged: Path, ledger: Ledger) -> None:
        """Make what was staged, and the ledger, survive a power cut."""

    def publish(self, batch_id: str, staged: Path, ledger: Ledger) -> None:
        """Let readers see the batch, whole."""


def store_of(dataset: Dataset, output: Path, tables: str, store: ObjectStore) -> Store:
    """The store of `dataset`, not yet opened: a folder below `output`, or a table where `tables` says.

    What is staged for a table lies below `output` too.
    """
    if not tables:
        return ParquetDataset(output, dataset.name)
    from sinks.delta.table import DeltaDataset

    address, staging = f"{tables}/{dataset.name}", output.absolute() / STAGING / dataset.name
    return DeltaDataset(address, store.options(address), arrow_schema(dataset), dataset.partitions, staging)


def arrow_schema(dataset: Dataset) -> pa.Schema:
    """All columns of `dataset`, those that only its path has too."""
    partitions = dict.fromkeys(dataset.partitions, "STRING")
    types = {**dataset.fields, **ORIGIN_FIELDS, **partitions}
    return pa.schema([(name, _ARROW[kind]) for name, kind in types.items()])
