"""Reads of a Delta table through duckdb: one version of it, on a disk or in an S3-compatible store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.object_store import ObjectStore
from told import EXTRAS, install

# Compactions and removals may stand before the newest batch.
_ENTRIES = 50
_UNREADABLE = "The Delta tables in ESPORTS_DELTA_PATH cannot be read; the log tells why."


class TableError(OSError):
    """A table that cannot be read; the message is for people, its cause for the log."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables below `root`; `tables / "matches"` is one of them, as with a folder."""

    root: str
    store: ObjectStore

    def __str__(self) -> str:
        return self.root

    def __truediv__(self, name: str) -> Table:
        address = f"{self.root}/{name}"
        return Table(address, self.store)


@dataclass(frozen=True, slots=True)
class Found:
    """The rows that may be new enough, as a pyarrow dataset that reads no other files, and how many files.

    `newest` is when the newest batch was written, in seconds since 1970; None in an empty table.
    """

    rows: Any
    files: int
    newest: float | None


@dataclass(frozen=True, slots=True)
class Table:
    """The table at `address`, partitioned by `status` first."""

    address: str
    store: ObjectStore

    def find(self, seconds: Mapping[str, float]) -> Found:
        """Find the rows whose time is unknown, or at most `seconds[status]` before the newest batch.

        `*` is any status. Raises TableError.
        """
        try:
            from deltalake import DeltaTable
            from deltalake.exceptions import DeltaError
        except ModuleNotFoundError as error:
            raise TableError(f"{error.name} is not installed: {install(EXTRAS['deltalake'])}") from error
        options = self.store.options(self.address)
        try:
            if not DeltaTable.is_deltatable(self.address, options):
                return Found(None, 0, None)
            table = DeltaTable(self.address, storage_options=options)
            newest = _newest(table.history(_ENTRIES))
            if newest is None:
                return Found(None, 0, None)
            rows, wanted = table.to_pyarrow_dataset(), _wanted(seconds, newest)
            files = sum(1 for _ in rows.get_fragments(filter=wanted))
        except (DeltaError, OSError) as error:
            raise TableError(_UNREADABLE) from error
        return Found(rows.filter(wanted), files, newest)


def _newest(history: list[dict[str, Any]]) -> float | None:
    """When the newest batch was written: a compaction makes new files, but brings nothing new."""
    times = [entry["timestamp"] for entry in history if entry.get("operation") == "WRITE"]
    return max(times) / 1000 if times else None


def _wanted(seconds: Mapping[str, float], newest: float) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted, time = pc.scalar(False), pc.field("kafka_timestamp")
    for status, span in seconds.items():
        since = pa.scalar(int((newest - span) * 1e6), pa.timestamp("us", tz="UTC"))
        is_new = (time >= since) | time.is_null()
        wanted = wanted | (is_new if status == "*" else (pc.field("status") == status) & is_new)
    return wanted
