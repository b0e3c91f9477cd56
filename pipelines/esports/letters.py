"""Dead letters of the esports pipeline tried again: the same rules, the same datasets, each record once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from analytics.esports.rules import Dataset, judge
from monitoring.logs import get_logger
from pipelines.engine.faults import Faults
from pipelines.engine.letters_again import never, pieces, try_again
from pipelines.engine.topics import letters_table
from pipelines.esports.rows import write_good
from pipelines.esports.store import Store
from sinks.dead_letters import DeadLetters, Letter, RetryOutcome
from sinks.parquet.dataset import Ledger
from sinks.parquet.offset_ranges import Key, OffsetRanges
from sinks.stream_letters import RejectedRecord, records_of

logger = get_logger(__name__)

# Partition of a topic, and offset.
Place = tuple[Key, int]


class RecordLetters:
    """Judges the records of letters as if they had just been read; a letter without a refused one is removed.

    What counts now becomes a batch of its own, whose ledger names the records: trying the same letter again,
    after a crash for example, writes none of them twice.
    """

    def __init__(
        self,
        spark: SparkSession,
        letters: DeadLetters,
        datasets: Mapping[str, tuple[Dataset, Store]],
        faults: Faults,
    ) -> None:
        """`datasets` by topic, opened."""
        self._spark = spark
        self._letters = letters
        self._datasets = datasets
        self._faults = faults

    def retry(self, letters: Iterable[Letter], stop: Callable[[], bool] = never) -> RetryOutcome:
        """Try `letters` again until `stop`.

        Raises OSError when a dataset cannot be written; nothing is lost by it.
        """
        return try_again(self._letters, pieces(letters), self._mended, stop=stop)

    def _mended(self, letters: Sequence[Letter]) -> set[str]:
        found = {letter.id: _records(letter) for letter in letters}
        done = self._write([record for records in found.values() for record in records.items()])
        self._faults.reach("rescued")
        # What cannot be read back as records can only be looked at.
        return {letter_id for letter_id, some in found.items() if some and some.keys() <= done}

    def _write(self, records: Sequence[tuple[Place, RejectedRecord]]) -> set[Place]:
        """Write what counts now; the places of all records that are in a dataset afterwards."""
        done: set[Place] = set()
        for topic, (dataset, store) in self._datasets.items():
            mine = {place: record for place, record in records if place[0][0] == topic}
            there = {place for place in mine if store.rescued.within(place[0], place[1], place[1] + 1)}
            new = {place: record for place, record in mine.items() if place not in there}
            done |= there
            if new:
                done |= self._write_new(dataset, store, new)
        return done

    def _write_new(
        self, dataset: Dataset, store: Store, records: Mapping[Place, RejectedRecord]
    ) -> set[Place]:
        judged = judge(
            self._spark.createDataFrame(letters_table(list(records.values()))), dataset
        ).withColumn("known", F.lit(False))
        # In the order of `records`: nothing in between moves rows.
        counts = [row.reason is None for row in judged.select("reason").collect()]
        good = {place for place, accepted in zip(records, counts, strict=True) if accepted}
        if good:
            rescued = OffsetRanges()
            for key, offset in good:
                rescued.add(key, offset, offset + 1)
            batch_id = f"retry-{hashlib.sha256(repr(sorted(good)).encode()).hexdigest()[:32]}"
            staged = store.stage(batch_id)
            write_good(judged, dataset, staged, 1)
            ledger = Ledger((batch_id,), rescued=rescued)
            store.sync(staged, ledger)
            store.publish(batch_id, staged, ledger)
        logger.info(f"📬 {len(records)} records of {dataset.name} tried again: {len(good)} written")
        return good


def _records(letter: Letter) -> dict[Place, RejectedRecord]:
    found: dict[Place, RejectedRecord] = {}
    for record in records_of(letter.record, letter.reason):
        topic, _, partition = record.source.rpartition("/")
        if not partition.isdecimal() or record.note is None:
            return {}
        found[(topic, record.note, int(partition)), record.position] = record
    return found
