"""What the esports demo is struck with: its process, which reads files, and the Parquet that it writes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from analytics.esports.rules import DATASETS
from pipelines.engine.demo_rig import Found, Rig, demo_process, run_process
from pipelines.engine.stop_flag import StopFlag
from pipelines.esports.demo import Feeder, open_demo
from settings import Settings
from sinks.parquet.dataset import ParquetDataset, read_ledger

_OFFSET = "kafka_offset"


def open_rig(settings: Settings, feeder: Feeder, command: Sequence[str] = ()) -> Rig:
    """The rig of the demo of `settings`; `command` runs in place of this module."""
    seen = Seen(settings.esports_output_path)
    rig = Rig(settings, feeder, command or demo_process(__name__), "Parquet", seen.find)
    rig.strikes |= {
        "Send garbage": lambda: rig.send("messages that cannot be used", feeder.send_garbage),
        "Send a file again": lambda: rig.send("the first files once more", feeder.repeat),
    }
    return rig


class Seen:
    """What the datasets below `root` have; each batch is read once, since it never changes."""

    def __init__(self, root: Path) -> None:
        self._stores = [ParquetDataset(root, dataset.name) for dataset in DATASETS]
        self._known: set[Path] = set()
        self._ends = Counter(written=0, duplicate=0, refused=0)
        # A record that is there twice is one row, and so the account does not add up.
        self._rows: dict[str, set[int]] = {dataset.name: set() for dataset in DATASETS}
        self._turn = threading.Lock()

    def find(self) -> Found:
        """What the ledgers of all batches say, and the records whose rows are there."""
        for store in self._stores:
            for batch in store.batches():
                with self._turn:
                    self._learn(batch, self._rows[store.folder.name])
        with self._turn:
            ends, rows = self._ends.copy(), sum(map(len, self._rows.values()))
        return Found({end: ends[end] for end in ("written", "duplicate", "refused")}, rows, ends["written"])

    def _learn(self, batch: Path, rows: set[int]) -> None:
        if batch not in self._known:
            rows |= _offsets(batch)
            self._ends += _ends(read_ledger(batch).outcome)
            self._known.add(batch)


def _ends(outcome: Mapping[str, Any]) -> Counter[str]:
    refused = sum(outcome["refused"].values())
    return Counter(written=outcome["written"], duplicate=outcome["duplicates"], refused=refused)


def _offsets(batch: Path) -> set[int]:
    """The offsets of the records in the files of `batch`."""
    tables = (pq.read_table(file, columns=[_OFFSET], partitioning=None) for file in batch.rglob("*.parquet"))
    return {offset for table in tables for offset in table[_OFFSET].to_pylist()}


def main() -> None:
    """Be the process of the rig."""

    def run(settings: Settings, stop: StopFlag) -> None:
        with open_demo(settings) as job, stop.on_signals():
            job.stream(stop)

    run_process(run)


if __name__ == "__main__":
    main()
