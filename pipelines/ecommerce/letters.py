"""Dead letters of the e-commerce pipeline tried again: the same rules, the same insert."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from contracts.ecommerce import EVENT_COLUMNS
from monitoring.logs import get_logger
from pipelines.ecommerce.batch import TakenEvents
from pipelines.ecommerce.passed_over import telling_whole_files
from pipelines.engine.letters_again import Place, place_of, try_records_again
from pipelines.engine.stream_batch import StreamBatch, Taken
from sinks.dead_letters import DeadLetters, Letter, RetryOutcome
from sinks.stream_letters import RejectedRecord
from sources.ecommerce.csv_files import records
from sources.ecommerce.csv_reader import WHOLE_FILE

logger = get_logger(__name__)

# At once, whatever the letters hold; a letter is never divided.
_RECORDS_AT_ONCE = 50_000


class EventLetters:
    """Judges the records of letters as if they had just been read; a letter without a refused one is removed.

    Records that count now are inserted even when others of their letter are refused again: doing it once more
    inserts nothing twice.
    """

    def __init__(
        self, spark: SparkSession, letters: DeadLetters, batch: StreamBatch[DataFrame, TakenEvents]
    ) -> None:
        self._spark = spark
        self._letters = letters
        self._batch = batch

    def retry(self, letters: Sequence[Letter]) -> RetryOutcome:
        """Try `letters` again. Raises UnavailableError when PostgreSQL stayed away; nothing is lost by it."""
        return try_records_again(self._letters, letters, _RECORDS_AT_ONCE, self._refused_again)

    def _refused_again(self, found: Sequence[RejectedRecord]) -> set[Place]:
        files = sorted({record.source for record in found if record.position == WHOLE_FILE})
        single = [record for record in found if record.position != WHOLE_FILE]
        return self._judged_again(single) | self._read_again(files)

    def _read_again(self, files: Sequence[str]) -> set[Place]:
        """Files that could not be read; what is refused of one that now can gets letters of its own."""
        if not files:
            return set()
        store, refused = self._batch.keeper("retry"), set[Place]()

        def keep(found: Iterable[RejectedRecord]) -> int:
            return store(telling_whole_files(_readable(found, refused)))

        taken = self._batch.try_again(records(self._spark, files, EVENT_COLUMNS), keep)
        _tell(f"{len(files)} files read again", taken)
        return refused

    def _judged_again(self, found: Sequence[RejectedRecord]) -> set[Place]:
        if not found:
            return set()
        table = pa.table(
            {
                "file": pa.array([record.source for record in found], pa.string()),
                "line": pa.array([record.position for record in found], pa.int64()),
                "raw": pa.array([record.raw or b"" for record in found], pa.binary()),
                "header": pa.array([record.note for record in found], pa.string()),
            }
        )
        refused: set[Place] = set()

        def keep(again: Iterable[RejectedRecord]) -> int:
            places = [place_of(record) for record in again]
            refused.update(places)
            return len(places)

        taken = self._batch.try_again(self._spark.createDataFrame(table), keep)
        _tell(f"{taken.records} records tried again", taken)
        return refused


def _readable(found: Iterable[RejectedRecord], unreadable: set[Place]) -> Iterator[RejectedRecord]:
    """The records of files that can be read; the others go to `unreadable`."""
    for record in found:
        if record.position == WHOLE_FILE:
            unreadable.add(place_of(record))
        else:
            yield record


def _tell(what: str, taken: Taken) -> None:
    logger.info(
        f"📬 {what}: {taken.written} inserted, {taken.duplicates} duplicates, "
        f"{sum(taken.refused.values())} refused"
    )
