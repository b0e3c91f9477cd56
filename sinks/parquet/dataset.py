"""A folder of Parquet files that grows by whole batches: a reader sees all of a batch, or nothing.

A batch is written outside the dataset's folder, on the same file system, made durable, and moved in by one
rename. Beside its files lies `_offsets.json`, which says what of Kafka it used up; so no record is written
twice, whatever becomes of Spark's checkpoint. The layout is told in docs/esports.md.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts import ConfigurationError, ServiceError
from durable import sync_file, sync_folder
from sinks.parquet.generations import Generations
from sinks.parquet.offset_ranges import OffsetRanges

LEDGER = "_offsets.json"
STAGING = ".staging"
_BATCH = "batch="
# Hadoop's local file system writes them; no reader needs them once the files have been moved.
_CHECKSUMS = ".*.crc"


@dataclass(frozen=True)
class Ledger:
    """The offsets that a batch used up, and its outcome.

    `consumed` covers every offset it read, `rescued` the records that had been dead letters. `outcome` has
    the numbers for its report, in case the process dies before the report.
    """

    batches: tuple[str, ...]
    consumed: OffsetRanges = field(default_factory=OffsetRanges)
    rescued: OffsetRanges = field(default_factory=OffsetRanges)
    outcome: Mapping[str, Any] = field(default_factory=dict)

    def as_bytes(self) -> bytes:
        """Returns the content of the ledger's file."""
        content = {
            "version": 1,
            "batches": list(self.batches),
            "consumed": self.consumed.as_json(),
            "rescued": self.rescued.as_json(),
            "outcome": dict(self.outcome),
        }
        return (json.dumps(content, indent=1) + "\n").encode()


def read_ledger(batch: Path) -> Ledger:
    """The ledger of a batch's folder. Raises ServiceError that names it when it cannot be read."""
    file = batch / LEDGER
    remedy = "Restore it from a backup, or move the whole folder away; then start again."
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ServiceError(_unreadable(file, error, remedy)) from error
    return parse_ledger(content, str(file), remedy)


def parse_ledger(content: bytes, file: str, remedy: str = "Restore it from a backup.") -> Ledger:
    """The ledger in the `content` of `file`. Raises ServiceError with the `remedy` when it is broken."""
    try:
        found = json.loads(content)
        return Ledger(
            tuple(found["batches"]),
            OffsetRanges.from_json(found["consumed"]),
            OffsetRanges.from_json(found["rescued"]),
            found.get("outcome", {}),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ServiceError(_unreadable(file, error, remedy)) from error


def _unreadable(file: object, error: Exception, remedy: str) -> str:
    return (
        f"{file} cannot be read ({type(error).__name__}), so it is not known which records its batch holds. "
        f"{remedy}"
    )


class ParquetDataset:
    """One dataset below the output folder. Whoever writes holds the lock of `staging`."""

    def __init__(self, root: Path, name: str) -> None:
        self.folder = root.absolute() / name
        self._generations = Generations(root.absolute(), name)
        self.staging = root.absolute() / STAGING / name
        self.consumed = OffsetRanges()
        self.rescued = OffsetRanges()

    def open(self) -> None:
        """Make the folders, remove what a crash left in staging, and learn what the dataset holds.

        Raises ConfigurationError when the folders cannot be used, ServiceError when a ledger cannot be read.
        """
        try:
            self._generations.ensure()
            self.staging.mkdir(parents=True, exist_ok=True)
            for leftover in self.staging.iterdir():
                if leftover.is_dir():
                    shutil.rmtree(leftover)
        except OSError as error:
            raise ConfigurationError(
                f"The folder {error.filename or self.folder} cannot be used ({error.strerror}). Make it "
                "writable or set ESPORTS_OUTPUT_PATH or STOCK_COLD_PATH to another one."
            ) from None
        self.consumed, self.rescued = OffsetRanges(), OffsetRanges()
        for batch in self.batches():
            self._learn(read_ledger(batch))

    def batches(self) -> Iterator[Path]:
        """Returns the folders of the batches; they stay there also when a compaction ends meanwhile."""
        folder = self._generations.current()
        return (path for path in sorted(folder.glob(f"{_BATCH}*")) if path.is_dir())

    def find(self, batch_id: str) -> Ledger | None:
        """Returns the ledger of the batch `batch_id`; None when the dataset does not have it."""
        target = self._generations.current() / f"{_BATCH}{batch_id}"
        return read_ledger(target) if target.exists() else None

    def stage(self, batch_id: str) -> Path:
        """Make an empty folder for the files of the batch `batch_id`; no reader looks there."""
        folder = self.staging / f"{_BATCH}{batch_id}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def sync(self, staged: Path, ledger: Ledger) -> None:
        """Write the ledger beside the files and make all of it survive a power cut."""
        (staged / LEDGER).write_bytes(ledger.as_bytes())
        for folder, _, names in os.walk(staged, topdown=False):
            for name in names:
                file = Path(folder) / name
                if file.match(_CHECKSUMS):
                    file.unlink()
                else:
                    sync_file(file)
            sync_folder(Path(folder))

    def publish(self, batch_id: str, staged: Path, ledger: Ledger) -> None:
        """Move the batch into place. Raises OSError when it is there already."""
        # Into the generation itself, which is not replaced inside the block.
        with self._generations.changing():
            generation = self._generations.current()
            staged.rename(generation / f"{_BATCH}{batch_id}")
            sync_folder(generation)
        self._learn(ledger)

    def _learn(self, ledger: Ledger) -> None:
        self.consumed.update(ledger.consumed)
        self.rescued.update(ledger.rescued)
