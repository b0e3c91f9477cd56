"""Reads of a dataset of Parquet through duckdb: the files of one generation, bounded in time and memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from dashboard.data.delta import Table

# A person waits for the page.
_READ_SECONDS = 15.0
# Each file costs its footer; a dataset that is never compacted gets new ones with every batch.
MAX_FILES = 3_000
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "1GB",
    "threads": 2,
    # Nothing is fetched from anywhere.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

_ROWS = (
    "WITH rows AS (FROM read_parquet($files, union_by_name = true, hive_partitioning = true, "
    "hive_types_autocast = false)) "
)

FAULTS: tuple[type[Exception], ...] = (duckdb.Error, OSError)


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a dataset that may hold something new enough.

    `newest` is when the newest batch was written, in seconds since 1970; None in an empty dataset. `is_whole`
    tells that none was left out because there are too many. `rows` are those of a Delta table, which knows
    its files itself.
    """

    paths: Sequence[str]
    newest: float | None
    is_whole: bool = True
    rows: Any = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to read."""
        return self.rows is None and not self.paths


def find_files(dataset: Path | Table, seconds: Mapping[str, float], limit: int = MAX_FILES) -> Files:
    """Find the files of `status=…` folders that were written at most `seconds[…]` before the newest batch.

    The link to the newest generation is followed once, here: what is read afterwards does not change when the
    dataset is compacted meanwhile. Rows of a file are never newer than the file. Of a Delta table
    none is left out, however many they are: the reading ends by its time.
    """
    if isinstance(dataset, Table):
        found = dataset.find(seconds)
        return Files([], found.newest, found.files <= limit, found.rows)
    if not dataset.exists():
        return Files([], None)
    batches = sorted(
        ((folder.stat().st_mtime, folder) for folder in dataset.resolve().glob("batch=*")), reverse=True
    )
    if not batches:
        return Files([], None)
    newest = batches[0][0]
    paths: list[str] = []
    for written, batch in batches:
        for status, span in seconds.items():
            if written >= newest - span:
                paths += [str(path) for path in sorted(batch.glob(f"status={status}/**/*.parquet"))]
        if len(paths) > limit:
            return Files(paths[:limit], newest, is_whole=False)
    return Files(paths, newest)


def read(files: Files, query: str, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """Run `query` on the table `rows`: all columns of all `files`, those of the path as text.

    A file that lacks a column has nulls there. Raises duckdb.Error or OSError.
    """
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        timer = threading.Timer(_READ_SECONDS, connection.interrupt)
        timer.start()
        try:
            if files.rows is not None:
                connection.register("rows", files.rows)
                return connection.execute(query, parameters).df()
            return connection.execute(_ROWS + query, {"files": list(files.paths), **parameters}).df()
        finally:
            timer.cancel()
