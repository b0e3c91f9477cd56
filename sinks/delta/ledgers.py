"""The ledgers of a Delta table: what each batch used up of Kafka, in `_ledgers` beside its log.

A ledger is written before its batch is committed, and counts once the table's log has the batch's number as a
`txn` action. Whatever else writes to the table, compaction and VACUUM of Spark too, passes by folders whose
names begin with an underscore.
"""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow.fs as pafs

from sinks.parquet.compaction import merge_ledgers
from sinks.parquet.dataset import Ledger, parse_ledger

if TYPE_CHECKING:
    from deltalake import DeltaTable

FOLDER = "_ledgers"
# Of many small ones; it holds nothing that was not committed.
_MERGED = "merged-"
_AT_ONCE = 16


def transaction_of(batch_id: str) -> tuple[str, int]:
    """Returns the id of the application and the version of a `txn` action for the batch `batch_id`.

    Spark's number of a batch only grows; any other batch is its own application.
    """
    query, _, number = batch_id.rpartition("-")
    # A version has 64 bits.
    return (query, int(number)) if query and number.isdecimal() and len(number) < 19 else (batch_id, 0)


def is_committed(table: DeltaTable, batch_id: str) -> bool:
    """Whether the log of `table` has the batch `batch_id`."""
    application, version = transaction_of(batch_id)
    found = table.transaction_version(application)
    return found is not None and found >= version


class Ledgers:
    """The ledgers of the table at `address`."""

    def __init__(self, address: str, options: Mapping[str, str]) -> None:
        from deltalake.fs import DeltaStorageHandler

        self._handler = DeltaStorageHandler(address, dict(options))
        self._files = pafs.PyFileSystem(self._handler)

    def write(self, name: str, ledger: Ledger) -> None:
        """Store `ledger` under `name`, in place of one that was there."""
        # Past pyarrow, which hands on buffers, while this stream takes bytes alone.
        stream: Any = self._handler._handler.open_output_stream(_path(name), None)
        stream.write(ledger.as_bytes())
        stream.close()

    def read(self, name: str) -> Ledger | None:
        """Returns the ledger `name`; None when there is none. Raises ServiceError when it is broken."""
        path = _path(name)
        if self._files.get_file_info(path).type != pafs.FileType.File:
            return None
        with self._files.open_input_file(path) as file:
            return parse_ledger(file.read(), f"{FOLDER}/{name}.json")

    def counting(self, table: DeltaTable) -> Iterator[tuple[str, Ledger]]:
        """Returns the ledgers that count in `table`, with their names."""
        names = [name for name in self._names() if name.startswith(_MERGED) or is_committed(table, name)]
        # Each is a request or two to a store that may be far away.
        with ThreadPoolExecutor(_AT_ONCE) as readers:
            for name, found in zip(names, readers.map(self.read, names), strict=True):
                # Else a compaction has just merged it, and names it in another.
                if found is not None:
                    yield name, found

    def merge(self, table: DeltaTable) -> int:
        """Make one of those that count; returns how many became one. The newest of each query stays.

        A ledger is a set: dying in between leaves some twice, which says the same.
        """
        some = [(name, ledger) for name, ledger in self.counting(table) if not _is_newest(table, name)]
        if len(some) < 2:
            return 0
        self.write(f"{_MERGED}{uuid.uuid4().hex}", merge_ledgers(ledger for _, ledger in some))
        for name, _ in some:
            self._files.delete_file(_path(name))
        return len(some)

    def _names(self) -> list[str]:
        found = self._files.get_file_info(pafs.FileSelector(FOLDER, allow_not_found=True))
        return sorted(posixpath.basename(one.path).removesuffix(".json") for one in found)


def _is_newest(table: DeltaTable, name: str) -> bool:
    """Whether it is the ledger of a query's last batch, which may come again and is asked for its outcome."""
    application, version = transaction_of(name)
    return application != name and table.transaction_version(application) == version


def _path(name: str) -> str:
    return f"{FOLDER}/{name}.json"
