"""A Delta table that grows by whole batches, each once, on a disk or in an S3-compatible store.

A batch is staged as Parquet on this machine's disk, where no reader looks, and becomes one commit of the
table with the batch's number as its `txn` action: the log has the rows and the number, or neither. All of the
format is delta-rs's work.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds

from contracts import AlreadyRunningError, ConfigurationError, ServiceError
from contracts.errors import UnfitError
from durable import sync_file, sync_folder
from sinks.delta.ledgers import Ledgers, is_committed, transaction_of
from sinks.parquet.dataset import Ledger
from sinks.parquet.offset_ranges import OffsetRanges

# In each commit, one more each time: of two processes that write, the second one's commit is refused.
_WRITER = "writer"
_ROWS_AT_ONCE = 32 * 1024
_LOG = "_delta_log"
# delta-rs paints its messages.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class DeltaDataset:
    """The table at `address`. Whoever writes holds the lock of `staging`, on a disk of this machine."""

    def __init__(
        self,
        address: str,
        options: Mapping[str, str],
        schema: pa.Schema,
        partitions: Sequence[str],
        staging: Path,
    ) -> None:
        """`schema` has all columns, with those in `partitions`; `options` are delta-rs's."""
        self.address = address
        self.staging = staging
        self.consumed = OffsetRanges()
        self.rescued = OffsetRanges()
        self._options = dict(options)
        self._schema = schema
        self._partitions = list(partitions)
        self._turn = 0

    def open(self) -> None:
        """Make the table, remove what a crash left in staging, and learn what the table holds.

        Raises ConfigurationError when the address or the folder cannot be used, ServiceError when a ledger
        cannot be read.
        """
        from deltalake import DeltaTable, Schema
        from deltalake.exceptions import DeltaError

        try:
            self.staging.mkdir(parents=True, exist_ok=True)
            for leftover in self.staging.iterdir():
                if leftover.is_dir():
                    shutil.rmtree(leftover)
            self._table = DeltaTable.create(
                self.address,
                Schema.from_arrow(self._schema),
                mode="ignore",
                partition_by=self._partitions,
                storage_options=self._options,
            )
            self._ledgers = Ledgers(self.address, self._options)
            self.consumed, self.rescued = OffsetRanges(), OffsetRanges()
            for _, ledger in self._ledgers.counting(self._table):
                self._learn(ledger)
        except (OSError, DeltaError) as error:
            raise ConfigurationError(unusable(self.address, error)) from None
        self._turn = self._last_turn()

    def find(self, batch_id: str) -> Ledger | None:
        """Returns the ledger of the batch `batch_id`; None when the table does not have it.

        Raises AlreadyRunningError when another process has written to the table.
        """
        with _told(self.address):
            self._table.update_incremental()
            if is_committed(self._table, batch_id):
                self._turn = self._last_turn()
                # After a compaction it may be one of many: then its outcome is not known any more.
                return self._ledgers.read(batch_id) or Ledger((batch_id,))
            if self._last_turn() != self._turn:
                raise AlreadyRunningError(_other(self.address))
        return None

    def stage(self, batch_id: str) -> Path:
        """Make an empty folder for the files of the batch `batch_id`; no reader looks there."""
        folder = self.staging / f"batch={batch_id}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def sync(self, staged: Path, ledger: Ledger) -> None:
        """Store the ledger, which does not count before its batch is published."""
        with _told(self.address):
            self._ledgers.write(staged.name.removeprefix("batch="), ledger)

    def publish(self, batch_id: str, staged: Path, ledger: Ledger) -> None:
        """Commit the rows and the batch's number in one act.

        Raises AlreadyRunningError when another process has written to the table meanwhile.
        """
        from deltalake import CommitProperties, Transaction, write_deltalake

        marks = [Transaction(*transaction_of(batch_id)), Transaction(_WRITER, self._turn + 1)]
        with _told(self.address):
            write_deltalake(
                self._table,
                self._rows(staged),
                mode="append",
                # A later version may have more columns.
                schema_mode="merge",
                commit_properties=CommitProperties(app_transactions=marks),
            )
            self._turn += 1
            self._sync_commit()
        self._learn(ledger)
        shutil.rmtree(staged, ignore_errors=True)

    def _rows(self, staged: Path) -> pa.RecordBatchReader:
        """The staged rows, some at a time."""
        fields = pa.schema([self._schema.field(name) for name in self._partitions])
        path = ds.partitioning(fields, flavor="hive")
        files = ds.dataset(str(staged), schema=self._schema, format="parquet", partitioning=path)
        scanner = files.scanner(batch_size=_ROWS_AT_ONCE, batch_readahead=2, fragment_readahead=2)
        return scanner.to_reader()

    def _sync_commit(self) -> None:
        """On a disk, let the last commit survive a power cut before Spark notes the batch."""
        root = Path(self.address)
        entry = root / _LOG / f"{self._table.version():020d}.json"
        # An object store keeps what it has acknowledged.
        if "://" in self.address or not entry.exists():
            return
        for line in entry.read_text().splitlines():
            if added := json.loads(line).get("add"):
                file = root / unquote(added["path"])
                sync_file(file)
                sync_folder(file.parent)
        sync_file(entry)
        sync_folder(entry.parent)

    def _last_turn(self) -> int:
        return self._table.transaction_version(_WRITER) or 0

    def _learn(self, ledger: Ledger) -> None:
        self.consumed.update(ledger.consumed)
        self.rescued.update(ledger.rescued)


def look_at(address: str, options: Mapping[str, str]) -> int | None:
    """Returns the version of the table at `address`; None where there is none yet.

    Raises UnfitError, with the remedy, when the store does not answer or refuses.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        if not DeltaTable.is_deltatable(address, dict(options)):
            return None
        return DeltaTable(address, storage_options=dict(options)).version()
    except (OSError, DeltaError) as error:
        raise _unfit(address, error) from error


def unusable(address: str, error: Exception) -> str:
    """Returns a sentence with the remedy for what delta-rs said of the table at `address`."""
    return str(_unfit(address, error))


def _unfit(address: str, error: Exception) -> UnfitError:
    # What a server says comes last, below the requests that led there.
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    found = re.search("<Message>(.*?)</Message>", " ".join(lines))
    reason = found[1] if found else (lines or ["no reason"])[-1].removeprefix("↳ ")
    remedy = (
        "Look at the bucket, its rights and the AWS_… settings."
        if "://" in address
        else "Make the folder writable, or choose another one."
    )
    return UnfitError(f"The Delta table {address} cannot be used: {reason[:300]}", remedy)


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Make errors for people of those of delta-rs; an OSError keeps its kind."""
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        if "oncurrent transaction" in str(error):
            raise AlreadyRunningError(_other(address)) from error
        raise ServiceError(unusable(address, error)) from error
    except DeltaError as error:
        raise ServiceError(unusable(address, error)) from error


def _other(address: str) -> str:
    return (
        f"Another process has written to the Delta table {address} while this one ran. Nothing is lost; it "
        "goes on there. Run only one."
    )
