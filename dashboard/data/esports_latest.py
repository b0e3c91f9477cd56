"""The newest row of each key of a dataset, read anew only where there is something new.

A stream adds a batch every few seconds to some hundred that are there. What was read of those stays true:
files do not change, and of a key the newer row counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from dashboard.data.parquet import Files, read

ORDER: Final = ("kafka_timestamp", "kafka_partition", "kafka_offset")
# A record whose time in Kafka is not known is newer than none.
NEWEST: Final = "(coalesce(kafka_timestamp, to_timestamp(0)), kafka_partition, kafka_offset)"


@dataclass(frozen=True, slots=True)
class _Known:
    generation: str
    paths: frozenset[str]
    rows: pd.DataFrame


class LatestRows:
    """The newest row of each key (the first of `columns`) of the last `seconds`, the latest first.

    At most the `most` latest are kept. Its caller lets one thread at a time ask.
    """

    def __init__(self, columns: Sequence[str], seconds: float, most: int) -> None:
        self._names = [*columns, *ORDER]
        self._key = columns[0]
        self._seconds = seconds
        self._most = most
        self._known: _Known | None = None

    def of(self, files: Files) -> pd.DataFrame:
        """The rows of `files`. Raises duckdb.Error or OSError."""
        if files.is_empty or files.newest is None:
            return pd.DataFrame(columns=self._names)
        since = files.newest - self._seconds
        if files.rows is not None:
            # A Delta table does not name its files.
            return self._read(files, since)
        known = self._usable(files)
        new = [path for path in files.paths if path not in known.paths]
        rows = known.rows
        if new:
            rows = self._merged(rows, self._read(replace(files, paths=new), since))
        rows = rows[~(rows["kafka_timestamp"] < pd.Timestamp(since, unit="s", tz="UTC"))]
        rows = rows.head(self._most).reset_index(drop=True)
        self._known = _Known(known.generation, frozenset(files.paths), rows)
        return rows

    def _usable(self, files: Files) -> _Known:
        """What is known of `files`: nothing of another generation, whose rows may be fewer."""
        known, generation = self._known, files.paths[0].rpartition("batch=")[0]
        nothing = _Known(generation, frozenset(), pd.DataFrame(columns=self._names))
        # Of a row without a time it is not known when it has become too old.
        if known is None or known.generation != generation or known.rows["kafka_timestamp"].isna().any():
            return nothing
        return known

    def _read(self, files: Files, since: float) -> pd.DataFrame:
        row = ", ".join(f"'{name}': {name}" for name in self._names)
        return read(
            files,
            f"FROM (SELECT unnest(arg_max({{{row}}}, {NEWEST})) FROM rows "
            f"WHERE coalesce(kafka_timestamp >= to_timestamp($since), true) GROUP BY {self._key}) "
            f"ORDER BY {', '.join(f'{name} DESC' for name in ORDER)} LIMIT {self._most}",
            {"since": since},
        )

    def _merged(self, known: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
        found = [part for part in (new, known) if not part.empty]
        if len(found) < 2:
            return found[0] if found else new
        rows = pd.concat(found, ignore_index=True).sort_values(list(ORDER), ascending=False, kind="stable")
        return rows.drop_duplicates(self._key, ignore_index=True)
