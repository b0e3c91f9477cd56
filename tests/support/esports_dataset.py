"""Batches of esports Parquet as the pipeline publishes them, made of the simulator's messages."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analytics.esports.match_status import UNKNOWN
from analytics.esports.rules import DATASETS, MATCHES, ORIGIN_FIELDS, Dataset
from pipelines.esports.store import arrow_schema, store_of
from settings import load
from simulation.esports.season import Season
from simulation.program import Message
from sinks.parquet.dataset import Ledger
from sinks.parquet.generations import Generations

START = datetime(2026, 1, 29, 10, 0, tzinfo=timezone.utc)


class Writer:
    """Adds batches to the datasets below `output`, offset after offset, by the pipeline's own way.

    Each third batch of a dataset also holds a record that had been a dead letter.
    """

    def __init__(self, output: Path, delta: str = "") -> None:
        """The datasets are Delta tables below `delta`, if that is given."""
        self.generations = {dataset.name: Generations(output, dataset.name) for dataset in DATASETS}
        store = load(env_file=None).object_store
        self.datasets = {dataset.name: store_of(dataset, output, delta, store) for dataset in DATASETS}
        self._offsets = dict.fromkeys(self.generations, 0)
        self._batches: Counter[str] = Counter()
        for dataset in self.datasets.values():
            dataset.open()

    def season(self, batches: int, start: datetime = START) -> None:
        """Add so many updates of a simulated season from `start` on, each three minutes later."""
        season = Season(1, 4, start)
        for number in range(batches):
            now = start + timedelta(minutes=3) * number
            self.add(season.advance(now), now)

    def add(self, messages: Iterable[Message], now: datetime) -> None:
        """Add one batch for each topic that has messages."""
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in messages:
            rows[message.topic].append(json.loads(message.value))
        for dataset in DATASETS:
            if rows[dataset.name]:
                self.add_rows(dataset, rows[dataset.name], now)

    def add_rows(
        self, dataset: Dataset, rows: list[dict[str, Any]], now: datetime, extra: Iterable[pa.Field] = ()
    ) -> Path:
        """Add one batch of `rows`, which may have `extra` columns; its folder."""
        first, topic = self._offsets[dataset.name], f"esports-{dataset.name}"
        self._offsets[dataset.name] += len(rows)
        self._batches[dataset.name] += 1
        batch_id = f"{self._batches.total():06d}"
        store = self.datasets[dataset.name]
        staging = store.stage(batch_id)
        parts = defaultdict(list)
        for number, row in enumerate(rows):
            origin = (topic, 0, first + number, now)
            values = {**_typed(dataset, row), **dict(zip(ORIGIN_FIELDS, origin, strict=True))}
            if "active" in values:
                values["status"] = "active" if values["active"] else "inactive"
            parts[tuple(values.pop(name, None) or UNKNOWN for name in dataset.partitions)].append(values)
        for partition, part in parts.items():
            named = zip(dataset.partitions, partition, strict=True)
            folder = staging.joinpath(*(f"{name}={value}" for name, value in named))
            folder.mkdir(parents=True)
            pq.write_table(pa.Table.from_pylist(part, _schema(dataset, extra)), folder / "part-00000.parquet")
        ledger = Ledger((batch_id,))
        ledger.consumed.add((topic, "topic-id", 0), first, first + len(rows))
        number = self._batches[dataset.name]
        if number % 3 == 0:
            ledger.rescued.add((topic, "topic-id", 1), number, number + 1)
        store.sync(staging, ledger)
        store.publish(batch_id, staging, ledger)
        return self.generations[dataset.name].current() / f"batch={batch_id}"


def match(number: int, **fields: Any) -> dict[str, Any]:
    """A row of a match with only what is given."""
    return {"match_id": f"M{number}", "status": "live", **fields}


def rows_of(dataset: Dataset = MATCHES) -> list[str]:
    """The names of the columns in the files."""
    return [name for name in (*dataset.fields, *ORIGIN_FIELDS) if name not in dataset.partitions]


def _schema(dataset: Dataset, extra: Iterable[pa.Field]) -> pa.Schema:
    fields = arrow_schema(dataset)
    return pa.schema([*(fields.field(name) for name in rows_of(dataset)), *extra])


def _typed(dataset: Dataset, row: dict[str, Any]) -> dict[str, Any]:
    times = {name for name, kind in dataset.fields.items() if kind == "TIMESTAMP" and row.get(name)}
    return {
        name: datetime.fromisoformat(value.replace("Z", "+00:00")) if name in times else value
        for name, value in row.items()
    }
