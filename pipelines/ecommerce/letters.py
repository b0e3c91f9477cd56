"""E-commerce's dead letters tried again: records are judged again, and whole files are read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from contracts.ecommerce import EVENT_COLUMNS
from monitoring.logs import get_logger
from pipelines.ecommerce.batch import TakenEvents
from pipelines.ecommerce.passed_over import telling_whole_files
from pipelines.engine.letters_again import never, try_records_again
from pipelines.engine.records_again import RecordsAgain
from pipelines.engine.stream_batch import StreamBatch
from sinks.dead_letters import Letter, RetryOutcome
from sinks.stream_letters import Identity, RejectedRecord, identity_of
from sources.ecommerce.csv_files import records
from sources.ecommerce.csv_reader import WHOLE_FILE

logger = get_logger(__name__)

# At once, whatever the letters hold; a letter is never divided.
_RECORDS_AT_ONCE = 50_000


class EventLetters:
    """Tries letters again by `batch`; see RecordsAgain."""

    def __init__(self, spark: SparkSession, batch: StreamBatch[DataFrame, TakenEvents]) -> None:
        self._spark = spark
        self._batch = batch
        self._records = RecordsAgain(batch, self._frame, _RECORDS_AT_ONCE)

    def retry(self, letters: Iterable[Letter], stop: Callable[[], bool] = never) -> RetryOutcome:
        """Try `letters` again until `stop`.

        Raises UnavailableError when PostgreSQL stayed away; nothing is lost by it.
        """
        queue = self._batch.reporting.letters
        return try_records_again(queue, letters, _RECORDS_AT_ONCE, self._refused_again, stop)

    def _refused_again(self, found: Sequence[RejectedRecord]) -> set[Identity]:
        files = sorted({record.source for record in found if record.position == WHOLE_FILE})
        single = [record for record in found if record.position != WHOLE_FILE]
        refused = self._records.refused_again(single) if single else set()
        return refused | self._read_again(files) if files else refused

    def _read_again(self, files: Sequence[str]) -> set[Identity]:
        """Files that could not be read; what is refused of one that now can gets letters of its own."""
        store, unreadable = self._batch.keeper("retry"), set[Identity]()

        def keep(found: Iterable[RejectedRecord]) -> int:
            return store(telling_whole_files(_readable(found, unreadable)))

        taken = self._batch.try_again(records(self._spark, files, EVENT_COLUMNS), keep)
        logger.info(
            f"📬 {len(files)} files read again: {taken.written} written, {taken.duplicates} duplicates, "
            f"{sum(taken.refused.values())} refused"
        )
        return unreadable

    def _frame(self, found: Sequence[RejectedRecord]) -> DataFrame:
        table = pa.table(
            {
                "file": pa.array([record.source for record in found], pa.string()),
                "line": pa.array([record.position for record in found], pa.int64()),
                "raw": pa.array([record.raw or b"" for record in found], pa.binary()),
                "header": pa.array([record.note for record in found], pa.string()),
            }
        )
        return self._spark.createDataFrame(table)


def _readable(found: Iterable[RejectedRecord], unreadable: set[Identity]) -> Iterator[RejectedRecord]:
    """The records of files that can be read; the others go to `unreadable`."""
    for record in found:
        if record.position == WHOLE_FILE:
            unreadable.add(identity_of(record))
        else:
            yield record
