"""The cold store: every record of Kafka as it came, in Parquet, once.

Below the folder, `events/batch=<id>/kind=sales|inventory|clients/part-0.parquet`; a batch appears by one
rename.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sinks.parquet.dataset import Ledger, ParquetDataset
from sinks.parquet.offset_ranges import OffsetRanges

DATASET = "events"
# The column with Kafka's time of a record.
TIME = "kafka_timestamp"
_SCHEMA = pa.schema(
    {
        "kafka_topic": pa.string(),
        "kafka_partition": pa.int32(),
        "kafka_offset": pa.int64(),
        TIME: pa.timestamp("us", tz="UTC"),
        "key": pa.binary(),
        "value": pa.binary(),
    }
)
# The columns of Kafka's records, in the order above.
_FROM = ("topic", "partition", "offset", "timestamp", "key", "value")

Row = Mapping[str, Any]


class StockArchive:
    """Keeps batches in a dataset that this process holds."""

    def __init__(self, dataset: ParquetDataset) -> None:
        """`dataset` is open."""
        self.dataset = dataset

    def store(self, batch_id: str, rows: Iterable[Row], topic_ids: Mapping[str, str]) -> None:
        """Keep the rows that are not there yet. Raises OSError when they cannot be kept.

        `topic_ids` tells a topic from an earlier one of the same name, whose offsets mean something else.
        """
        if self.dataset.find(batch_id) is not None:
            return
        new = [row for row in rows if not self._knows(row, topic_ids)]
        if not new:
            return
        consumed = OffsetRanges()
        for row in new:
            consumed.add(
                (row["topic"], topic_ids[row["topic"]], row["partition"]), row["offset"], row["offset"] + 1
            )
        ledger = Ledger((batch_id,), consumed)
        staged = self.dataset.stage(batch_id)
        for kind in sorted({row["kind"] for row in new}):
            _write(staged / f"kind={kind}", [row for row in new if row["kind"] == kind])
        self.dataset.sync(staged, ledger)
        self.dataset.publish(batch_id, staged, ledger)

    def _knows(self, row: Row, topic_ids: Mapping[str, str]) -> bool:
        key = (row["topic"], topic_ids[row["topic"]], row["partition"])
        return bool(self.dataset.consumed.within(key, row["offset"], row["offset"] + 1))


def _write(folder: Path, rows: Sequence[Row]) -> None:
    columns = {
        name: pa.array([row[source] for row in rows], field.type)
        for name, source, field in zip(_SCHEMA.names, _FROM, _SCHEMA, strict=True)
    }
    folder.mkdir()
    pq.write_table(pa.table(columns, _SCHEMA), folder / "part-0.parquet")
