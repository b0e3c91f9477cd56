"""Dead letters of the e-commerce pipeline tried again: the same rules, the same insert."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import SparkSession

from monitoring.logs import get_logger
from pipelines.ecommerce.batch import EventsBatch
from pipelines.engine.letters_again import Place, place_of, try_records_again
from sinks.dead_letters import DeadLetters, Letter, RetryOutcome
from sinks.ecommerce.commit import Outcome
from sinks.stream_letters import RejectedRecord
from sources.ecommerce.csv_reader import WHOLE_FILE

logger = get_logger(__name__)

# So many records at once, whatever the letters hold.
_RECORDS_AT_ONCE = 50_000


class EventLetters:
    """Judges the records of letters as if they had just been read; a letter without a refused one is removed.

    Records that count now are inserted even when others of their letter are refused again: doing it once more
    inserts nothing twice.
    """

    def __init__(self, spark: SparkSession, letters: DeadLetters, batch: EventsBatch) -> None:
        self._spark = spark
        self._letters = letters
        self._batch = batch

    def retry(self, letters: Sequence[Letter]) -> RetryOutcome:
        """Try `letters` again. Raises UnavailableError when PostgreSQL stayed away; nothing is lost by it."""
        return try_records_again(self._letters, letters, _RECORDS_AT_ONCE, self._refused_again)

    def _refused_again(self, records: Sequence[RejectedRecord]) -> set[Place]:
        files = sorted({record.source for record in records if record.position == WHOLE_FILE})
        single = [record for record in records if record.position != WHOLE_FILE]
        return self._judged_again(single) | self._read_again(files)

    def _read_again(self, files: Sequence[str]) -> set[Place]:
        """Files that could not be read; what is refused of one that now can gets letters of its own."""
        if not files:
            return set()
        done, refused = self._batch.read_again(self._spark, files)
        _tell(f"{len(files)} files read again", done)
        return {(file, WHOLE_FILE) for file in refused}

    def _judged_again(self, records: Sequence[RejectedRecord]) -> set[Place]:
        if not records:
            return set()
        table = pa.table(
            {
                "file": pa.array([record.source for record in records], pa.string()),
                "line": pa.array([record.position for record in records], pa.int64()),
                "raw": pa.array([record.raw or b"" for record in records], pa.binary()),
                "header": pa.array([record.note for record in records], pa.string()),
            }
        )
        done, refused = self._batch.try_again(self._spark.createDataFrame(table))
        _tell(f"{done.records_in} records tried again", done)
        return {place_of(record) for record in refused}


def _tell(what: str, done: Outcome) -> None:
    logger.info(
        f"📬 {what}: {done.inserted} inserted, {done.duplicates} duplicates, "
        f"{sum(done.rejected.values())} refused"
    )
