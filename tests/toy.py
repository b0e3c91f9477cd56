"""A fifth pipeline, as small as one can be: a folder of JSON lines becomes the numbers of a SQLite table.

It shows what a system has to say of itself, and keeps the contract of all of them (tests/contract).
`python -m tests.toy` is `main.py` with it; one that is here to stay is a line of pipelines/catalog.py.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic_settings import BaseSettings
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from checkpoint.lock import hold
from commands.checks.result import CheckResult, failed, ok
from contracts import BatchKey, ConfigurationError
from contracts.lineage import Lineage, folder
from monitoring.stream_flow import StreamFlow
from pipelines.catalog import PIPELINES
from pipelines.engine.faults import Faults
from pipelines.engine.pipeline import Pipeline, Retry, later
from pipelines.engine.query_watch import QueryWatch
from pipelines.engine.records_again import RecordsAgain
from pipelines.engine.reporting import StreamReporting
from pipelines.engine.retry_policy import retry_policy
from pipelines.engine.steps import Steps
from pipelines.engine.stream_batch import BatchWork, Keep, StreamBatch, Taken
from pipelines.engine.stream_job import Stream, StreamJob
from pipelines.engine.stream_query import address_of
from session import spark_session
from settings import Settings
from sinks.dead_letters import Owner
from sinks.stream_letters import RejectedRecord

Line = tuple[str, int, str]  # file, number of the line, text
_TABLES = """
CREATE TABLE IF NOT EXISTS numbers (number INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS batches (key TEXT PRIMARY KEY, taken TEXT, reported INTEGER DEFAULT 0);
"""


class ToySettings(BaseSettings):
    """TOY_FOLDER and TOY_DATABASE."""

    toy_folder: Path = Path("toy/lines")
    toy_database: Path = Path("toy/numbers.db")


@dataclass(frozen=True)
class LinesWork(BatchWork[Sequence[Line], Taken]):
    """Takes lines into the table of `database`."""

    database: Path
    position = "line"

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection to the tables; what the block did is committed."""
        self.database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.database)) as connection:
            connection.executescript(_TABLES)
            with connection:
                yield connection

    def known(self, key: BatchKey) -> Taken | None:
        with self.connection() as found:
            row = found.execute("SELECT taken, reported FROM batches WHERE key = ?", [str(key)]).fetchone()
        return Taken(**json.loads(row[0]), was_reported=bool(row[1])) if row else None

    def read(self, frame: DataFrame, _key: BatchKey) -> Sequence[Line]:
        return [(row.source, row.position, row.raw) for row in frame.orderBy("source", "position").collect()]

    @contextmanager
    def prepare(self, rows: Sequence[Line], key: BatchKey | None, steps: Steps) -> Iterator[_Judged]:
        numbers = [_number_of(raw) for *_, raw in rows]
        pairs = zip(rows, numbers, strict=True)
        bad = [RejectedRecord("no_number", *row[:2], row[2].encode()) for row, n in pairs if n is None]
        steps.done("judge")
        yield _Judged(self, key, [number for number in numbers if number is not None], bad)

    def mark_reported(self, key: BatchKey) -> None:
        with self.connection() as connection:
            connection.execute("UPDATE batches SET reported = 1 WHERE key = ?", [str(key)])


@dataclass(frozen=True)
class _Judged:
    work: LinesWork
    key: BatchKey | None
    numbers: list[int]
    bad: list[RejectedRecord]

    def refused(self) -> Sequence[RejectedRecord]:
        return self.bad

    def commit(self, _keep: Keep, steps: Steps) -> Taken:
        refused = Counter(record.reason for record in self.bad)
        with self.work.connection() as connection:
            rows = [(number,) for number in self.numbers]
            written = connection.executemany("INSERT OR IGNORE INTO numbers VALUES (?)", rows).rowcount
            taken = Taken(max(0, written), len(rows) - max(0, written), refused=refused)
            if self.key:
                kept = {"written": taken.written, "duplicates": taken.duplicates, "refused": refused}
                row = (str(self.key), json.dumps(kept))
                connection.execute("INSERT INTO batches (key, taken) VALUES (?, ?)", row)
        steps.done("insert")
        return taken


def _number_of(raw: str) -> int | None:
    try:
        return int(json.loads(raw)["number"])
    except (ValueError, KeyError, TypeError):
        return None


@contextmanager
def open_job(settings: Settings, streaming: bool, _part: str) -> Iterator[StreamJob]:
    """The job on what TOY_FOLDER and TOY_DATABASE say."""
    with hold(settings.checkpoint_location / TOY.name), spark_session(settings.spark, streaming) as spark:
        toy = ToySettings()
        try:
            LinesWork(toy.toy_database).known(BatchKey("", 0))
        except (OSError, sqlite3.Error) as error:
            message = f"TOY_DATABASE={toy.toy_database} cannot be used ({error}). Correct it."
            raise ConfigurationError(message) from None
        yield assemble(settings, toy, spark)


@contextmanager
def open_retry(settings: Settings) -> Iterator[Retry]:
    """The function that tries dead letters again."""
    with open_job(settings, False, "all") as job:
        yield again(job).retry


def assemble(settings: Settings, toy: ToySettings, spark: SparkSession) -> StreamJob:
    """Wire the parts."""
    reporting, retry, work = (
        StreamReporting(TOY, settings, 1.0),
        retry_policy(settings),
        LinesWork(toy.toy_database),
    )
    toy.toy_folder.mkdir(parents=True, exist_ok=True)
    batch = StreamBatch("lines", work, reporting, retry, Faults(settings.fault))
    checkpoint = (settings.checkpoint_location / TOY.name / "lines").absolute()
    stream = Stream(batch, partial(_lines, spark, address_of(toy.toy_folder)), checkpoint)
    watch, pings = (
        QueryWatch(StreamFlow(reporting.metrics, ["lines"])),
        {"SQLite": lambda: work.known(BatchKey("", 0))},
    )
    return StreamJob(spark, [stream], reporting, retry, 1.0, str(toy.toy_folder), watch, pings)


def again(job: StreamJob) -> RecordsAgain[Sequence[Line], Taken]:
    """What tries dead letters again."""
    rows_of = lambda records: [(one.source, one.position, (one.raw or b"").decode()) for one in records]  # noqa: E731
    return RecordsAgain(job.streams[0].batch, rows_of, at_once=1_000)


def _lines(spark: SparkSession, folder: str) -> DataFrame:
    # As whole files: else Spark would not say which line of the file it is.
    files = spark.readStream.option("maxFilesPerTrigger", 1).text(folder, wholetext=True)
    lines = F.posexplode(F.split(F.rtrim(F.col("value"), F.lit("\n")), "\n"))
    return files.select("_metadata.file_path", lines).toDF("source", "position", "raw")


def _checks(_settings: Settings) -> Iterator[CheckResult]:
    folder = ToySettings().toy_folder
    yield ok("Lines", str(folder)) if folder.is_dir() else failed("Lines", f"{folder} is none", "Make it.")


def lineage(_settings: Settings) -> Mapping[str, Lineage]:
    """From the folder of lines to the numbers."""
    toy = ToySettings()
    return {"": Lineage((folder(toy.toy_folder),), (folder(toy.toy_database),))}


TOY = Pipeline(
    name="toy",
    title="Toy",
    does="JSON lines → numbers in SQLite",
    steps=("read", "judge", "dead_letters", "insert", "report"),
    open_job=later("tests.toy:open_job"),
    open_retry=later("tests.toy:open_retry"),
    owner=lambda _settings: Owner.of("toy", [str(ToySettings().toy_database.absolute())]),
    checks=_checks,
    lineage=lineage,
)

if __name__ == "__main__":
    PIPELINES[TOY.name] = TOY
    from main import app

    app()
