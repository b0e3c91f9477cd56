"""Measures what a batch costs after many files and many batches: the files and notes of before lie there.

E-commerce reads one more file of a folder, with those that were read kept and archived, after as many batches
in Spark's notes and in the ledger. Esports publishes one more batch beside as many, none of them merged.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Annotated

import psycopg
import typer
from pyspark.sql import SparkSession
from rich.console import Console

from benchmarks.common import folders
from benchmarks.ecommerce_database import database
from benchmarks.figures import Figures
from monitoring import logs
from pipelines.ecommerce.job import assemble
from pipelines.engine.stop_flag import StopFlag
from session import build_session
from settings import Settings, load
from simulation.ecommerce.events import EventGenerator, write_file
from sinks.ecommerce.schema import LEDGER
from sinks.parquet.dataset import Ledger, ParquetDataset
from sinks.parquet.offset_ranges import OffsetRanges

# A batch of the largest size against one of the smallest.
FLAT = 1.5
_EVENTS = 100
_OLD_BATCHES = f"""
    INSERT INTO {LEDGER} SELECT gen_random_uuid(), n, 1, 1, 0, '{{}}', '{{}}', now(), now(), true
    FROM generate_series(1, %s::bigint) n
"""
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Shop:
    """A stream whose `files` were read in as many batches; they are kept or archived, as `how` says."""

    spark: SparkSession
    dsn: str
    root: Path
    how: str
    files: int

    def measure(self, rounds: int) -> Mapping[str, float]:
        """The seconds of the first run, which may clear files away, and the median of the others."""
        settings = self._settings()
        with psycopg.connect(self.dsn) as connection:
            connection.execute(_OLD_BATCHES, [self.files])
        settings.ecommerce_input_path.mkdir(parents=True)
        self._leave_read_files(settings)
        found = [self._batch(settings, number) for number in range(rounds + 2)]
        # The second may begin the list of read files anew.
        return {"first run": found[0], "batch": median(found[2:])}

    def _settings(self) -> Settings:
        given = {"postgres_dsn": self.dsn, "ecommerce_input_path": self.root / "in", **folders(self.root)}
        return load(env_file=None, ecommerce_read_files=self.how, health_port=0, **given)

    def _batch(self, settings: Settings, number: int) -> float:
        generator = EventGenerator(number)
        events = (generator.event(_START) for _ in range(_EVENTS))
        write_file(settings.ecommerce_input_path, self.files + number, events, _START)
        began = time.perf_counter()
        if not assemble(settings, self.spark).once(StopFlag()):
            raise RuntimeError("the pipeline failed; its log says why")
        return time.perf_counter() - began

    def _leave_read_files(self, settings: Settings) -> None:
        """The files, and Spark's notes of them, as after that many batches."""
        last = self.files // 10 * 10 + 9
        lines = []
        for number in range(self.files):
            file = settings.ecommerce_input_path / f"read_{number:08d}.csv"
            file.write_bytes(b"")
            modified = file.stat().st_mtime_ns // 1_000_000
            note = {"path": file.absolute().as_uri(), "timestamp": modified, "batchId": min(number, last)}
            lines.append(json.dumps(note, separators=(",", ":")))
        checkpoint = settings.checkpoint_location / "ecommerce" / "events"
        notes = {"metadata": json.dumps({"id": str(uuid.uuid4())})}
        notes[f"sources/0/{last}.compact"] = "\n".join(["v1", *lines])
        for batch in (last - 1, last):
            about = json.dumps({"batchWatermarkMs": 0, "batchTimestampMs": 0, "conf": {}})
            notes[f"offsets/{batch}"] = f'v1\n{about}\n{{"logOffset":{batch}}}'
            notes[f"commits/{batch}"] = 'v1\n{"nextBatchWatermarkMs":0}'
        for name, content in notes.items():
            (checkpoint / name).parent.mkdir(parents=True, exist_ok=True)
            (checkpoint / name).write_text(content)


def dataset(root: Path, batches: int, rounds: int) -> Mapping[str, float]:
    """The seconds of a start on a dataset of `batches` batches, and the median of publishing one more."""
    made = ParquetDataset(root, "matches")
    made.open()
    generation = made.folder.resolve()
    for number in range(batches):
        folder = made.stage(f"old {number}")
        (folder / "_offsets.json").write_bytes(_ledger(number).as_bytes())
        folder.rename(generation / folder.name)
    began = time.perf_counter()
    made.open()
    opened, found = time.perf_counter() - began, []
    for number in range(batches, batches + rounds):
        began = time.perf_counter()
        staged, ledger = made.stage(f"new {number}"), _ledger(number)
        made.sync(staged, ledger)
        made.publish(f"new {number}", staged, ledger)
        made.find(f"new {number}")
        found.append(time.perf_counter() - began)
    return {"first run": opened, "batch": median(found)}


def _ledger(number: int) -> Ledger:
    consumed = OffsetRanges()
    consumed.add(("t", "id", 0), 10 * number, 10 * number + 10)
    return Ledger((str(number),), consumed)


_SIZES = "Files and batches of before; the last is held against the first."


def main(
    dsn: Annotated[str, typer.Option(envvar="POSTGRES_TEST_DSN", help="A server to fill with test data.")],
    sizes: Annotated[str, typer.Option(help=_SIZES)] = "10,100000",
    rounds: Annotated[int, typer.Option(help="Batches that are measured; the median counts.")] = 5,
) -> None:
    """Seconds of a batch after as many files and batches."""
    logs.configure("ERROR")
    out, counts = Console(width=120), [int(size) for size in sizes.split(",")]
    rows, figures = [], Figures(out, "growth")
    spark = build_session(load(env_file=None).spark, streaming=True)
    found: dict[tuple[str, int], Mapping[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder, database(dsn) as address:
        # Java compiles as it goes.
        Shop(spark, address, Path(folder).resolve(), "keep", counts[0]).measure(rounds)
    for count in counts:
        for how in ("keep", "archive"):
            with tempfile.TemporaryDirectory() as folder, database(dsn) as address:
                shop = Shop(spark, address, Path(folder).resolve(), how, count)
                found[f"e-commerce, {how}", count] = shop.measure(rounds)
        with tempfile.TemporaryDirectory() as folder:
            found["esports, not merged", count] = dataset(Path(folder).resolve(), count, rounds)
        for (name, size), one in found.items():
            if size == count:
                row = [f"{one['first run']:.3f}", f"{one['batch']:.3f}"]
                rows.append([name, f"{count:,}", *row])
                out.print(f"{name} {count}: {' '.join(row)}", highlight=False)
    spark.stop()
    figures.table("After as many files and batches", ["of", "before it", "first run, s", "batch, s"], rows)
    for name in ("e-commerce, archive", "esports, not merged"):
        ratio = found[name, counts[-1]]["batch"] / found[name, counts[0]]["batch"]
        figures.judge(f"{name}: a batch after {counts[-1]:,} against {counts[0]:,}", ratio, " ×", most=FLAT)
    figures.end()


if __name__ == "__main__":
    typer.run(main)
