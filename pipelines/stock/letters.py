"""Dead letters of the stock pipeline tried again: the same rules, the same ledger, each invoice once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from monitoring.logs import get_logger
from pipelines.engine.letters_again import Place, place_of, try_records_again
from pipelines.engine.stream_batch import StreamBatch
from pipelines.stock.batch import Records
from pipelines.stock.writer import StockTaken
from sinks.dead_letters import DeadLetters, Letter, RetryOutcome
from sinks.stream_letters import RejectedRecord
from sources.kafka_direct import records_table

logger = get_logger(__name__)

# So many records at once, whatever the letters hold.
_RECORDS_AT_ONCE = 20_000


class StockLetters:
    """Judges the records of letters as if they had just been read; a letter without a refused one is removed.

    Records that count now are taken in even when others of their letter are refused again: doing it once more
    changes nothing.
    """

    def __init__(
        self,
        spark: SparkSession,
        letters: DeadLetters,
        batch: StreamBatch[Records, StockTaken],
        parse: Callable[[DataFrame], DataFrame],
    ) -> None:
        self._spark = spark
        self._letters = letters
        self._batch = batch
        self._parse = parse

    def retry(self, letters: Sequence[Letter]) -> RetryOutcome:
        """Try `letters` again. Raises UnavailableError when MongoDB stayed away; nothing is lost by it."""
        return try_records_again(self._letters, letters, _RECORDS_AT_ONCE, self._refused_again)

    def _refused_again(self, records: Sequence[RejectedRecord]) -> set[Place]:
        rows: list[dict[str, Any]] = self._parse(self._frame(records)).toArrow().to_pylist()
        refused: set[Place] = set()

        def keep(again: Iterable[RejectedRecord]) -> int:
            places = [place_of(record) for record in again]
            refused.update(places)
            return len(places)

        self._batch.try_again(Records(rows), keep)
        logger.info(f"📬 {len(records)} records tried again: {len(refused)} refused")
        return refused

    def _frame(self, records: Sequence[RejectedRecord]) -> DataFrame:
        places = [record.source.rpartition("/") for record in records]
        columns: dict[str, list[Any]] = {
            "key": [record.key for record in records],
            "value": [record.raw for record in records],
            "topic": [topic for topic, _, _ in places],
            "partition": [int(partition) for _, _, partition in places],
            "offset": [record.position for record in records],
            "timestamp_ms": [record.timestamp_ms for record in records],
        }
        return self._spark.createDataFrame(records_table(columns))
