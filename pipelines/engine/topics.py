"""The input of a query that reads topics: what a batch has, and what was lost before it could be read.

The same for Kafka and for the files that stand in for it in the demos, and for every pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import pyarrow as pa
from pyspark.sql import DataFrame

from monitoring.logs import get_logger
from sinks.stream_letters import RejectedRecord
from sources.kafka_direct import records_table
from sources.kafka_stream import Span, count

logger = get_logger(__name__)

T = TypeVar("T")
# An eighth of the heap that Spark gives its driver by default; there are copies of it, in Python too.
MOST_BYTES = 128 * 2**20
# A broker takes none that is larger, by default.
_LARGEST = 2.0**20
# Of those before, the next records may be so large.
_TIMES = 4


@dataclass(frozen=True)
class Reading:
    """One batch as it is about to be read.

    `records` has the columns of `usable`. `expired` is what had been deleted by then. `again` gives the same
    records in another way, or raises what the reading raised.
    """

    span: Span
    ids: Mapping[str, str]
    records: DataFrame
    expired: Span = field(default_factory=dict)
    again: Callable[[Exception], DataFrame] | None = None


class TopicInput(Protocol):
    """Where the records of a query come from."""

    def missing(self) -> str | None:
        """One sentence that names the topics that do not exist, with the remedy; None when all do."""
        ...

    def frame(self) -> DataFrame:
        """A stream with the columns of Spark's Kafka source. Raises UnavailableError without a topic."""
        ...

    def open(self, frame: DataFrame, number: int) -> Reading:
        """The batch `number`, which is `frame`."""
        ...

    def fewer(self, records: int) -> None:
        """Plan this batch and later ones anew, with at most `records` each; StartAnewError where it can."""
        ...

    def verify(self, reading: Reading) -> None:
        """After the reading. Raises StartAnewError when it was another topic, ServiceError without one."""
        ...

    def lost(self, reading: Reading, records: int, read_expired: int) -> int:
        """How many records were deleted before they could be read; see `lost_offsets`."""
        ...

    def waiting(self) -> int:
        """How many records are there and not processed.

        Raises UnavailableError when that cannot be known, StartAnewError when a topic was made anew.
        """
        ...

    def ping(self) -> None:
        """Raises ServiceError when the source does not answer."""
        ...


@dataclass
class Collected:
    """Keeps the batches of one stream that are collected into the driver's memory below MOST_BYTES.

    How large records are is known from the batch before; only where that may be too much it is measured.
    """

    _each: float = _LARGEST

    def table(self, reading: Reading, source: TopicInput) -> pa.Table:
        """The records of `reading`. Raises StartAnewError when they are too large, and come in pieces."""
        known, self._each = self._each, _LARGEST
        if count(reading.span) * known > MOST_BYTES:
            self._require_small(reading, source)
        found = reading.records.toArrow()
        self._each = _TIMES * found.nbytes / max(1, found.num_rows)
        return found

    def _require_small(self, reading: Reading, source: TopicInput) -> None:
        sizes = "count(*)", "sum(ifnull(octet_length(key), 0) + ifnull(octet_length(value), 0))"
        ((records, size),) = reading.records.selectExpr(*sizes).collect()
        if records > 1 and size > MOST_BYTES:
            source.fewer(max(1, records * MOST_BYTES // size // 2))


def read_some_way(reading: Reading, read: Callable[[Reading], T]) -> tuple[T, Reading]:
    """What `read` makes of the records, tried in the other way where the first fails; and that reading."""
    try:
        return read(reading), reading
    except Exception as error:
        if reading.again is None:
            raise
        other = replace(reading, records=reading.again(error))
        return read(other), other


def letters_table(records: Sequence[RejectedRecord]) -> pa.Table:
    """Records of dead letters, in their order, with the columns of `usable`."""
    places = [record.source.rpartition("/") for record in records]
    columns: dict[str, list[Any]] = {
        "key": [record.key for record in records],
        "value": [record.raw for record in records],
        "topic": [topic for topic, _, _ in places],
        "partition": [int(partition) for _, _, partition in places],
        "offset": [record.position for record in records],
        "timestamp_ms": [record.timestamp_ms for record in records],
    }
    return records_table(columns)


def read_expired(reading: Reading, places: Iterable[tuple[str, int, int]]) -> int:
    """How many of the records at `places` (topic, partition, offset) had expired before they were read."""
    gone = reading.expired
    if not gone:
        return 0
    none = (0, 0)
    return sum(
        first <= offset < after
        for topic, partition, offset in places
        for first, after in (gone.get((topic, partition), none),)
    )


def tell_lost(lost: int, batch: str, records: str, on_lost: Callable[[int], None]) -> None:
    """A warning and the metric."""
    on_lost(lost)
    logger.warning(
        f"🕳️  {batch}: up to {lost} {records} are lost: Kafka had deleted them before they were read. "
        "Keep them there for longer, or run this more often."
    )
