"""Dead letters of a stream tried again: their records go through the batch's own steps once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic

from monitoring.logs import get_logger
from pipelines.engine.letters_again import never, try_records_again
from pipelines.engine.stream_batch import Done, Rows, StreamBatch
from sinks.dead_letters import Letter, RetryOutcome
from sinks.stream_letters import Identity, RejectedRecord, identity_of

logger = get_logger(__name__)


@dataclass(frozen=True)
class RecordsAgain(Generic[Rows, Done]):
    """Judges the records of letters as if they had just been read; a letter without a refused one is removed.

    `rows_of` makes of records what `batch` reads; `at_once` records are in memory. Records that count now are
    taken in even when others of their letter are refused again: doing it once more changes nothing.
    """

    batch: StreamBatch[Rows, Done]
    rows_of: Callable[[Sequence[RejectedRecord]], Rows]
    at_once: int

    def retry(self, letters: Iterable[Letter], stop: Callable[[], bool] = never) -> RetryOutcome:
        """Try `letters` again until `stop`.

        Raises UnavailableError when a server stayed away; nothing is lost by it.
        """
        queue = self.batch.reporting.letters
        return try_records_again(queue, letters, self.at_once, self.refused_again, stop)

    def refused_again(self, records: Sequence[RejectedRecord]) -> set[Identity]:
        """Take in `records`; those that are refused again."""
        refused: set[Identity] = set()

        def keep(again: Iterable[RejectedRecord]) -> int:
            found = [identity_of(record) for record in again]
            refused.update(found)
            return len(found)

        taken = self.batch.try_again(self.rows_of(records), keep)
        logger.info(
            f"📬 {taken.records} records tried again: {taken.written} written, "
            f"{taken.duplicates} duplicates, {sum(taken.refused.values())} refused"
        )
        return refused
