"""Kafka topics as a stream of Spark: its columns, and where its batches begin and end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from sources.kafka_broker import COMMITTED, ISOLATION, LONGEST_MS, Place, bounded_options
from sources.kafka_security import for_java

# Place → offset.
Offsets = Mapping[Place, int]
# Place → (first offset, the one after the last).
Span = Mapping[Place, tuple[int, int]]

_EARLIEST = -2
# The last millisecond that Python's readers know.
LATEST_MS = 253_402_300_799_999
# Clocks differ; a time of Kafka that is further ahead orders nothing.
MAX_AHEAD_MS = 300_000
# A consumer asks on for what comes next, and a broker answers the questions of a connection in their order:
# at the end of a topic each job of a batch waits so long, by Kafka's default half a second.
_PATIENCE = {"fetch.max.wait.ms": "10"}


def read_topics(
    spark: SparkSession,
    servers: str,
    options: Mapping[str, str],
    topics: Sequence[str],
    at_most: int,
    starting: str,
) -> DataFrame:
    """The columns of Spark's Kafka source, with at most `at_most` records in one batch.

    `options` have Kafka's own names. `starting` is where a query without a checkpoint begins: `earliest`,
    `latest` or what `starting_offsets` returns. Records that expired before they were read do not stop the
    query: the caller reports them.
    """
    given = {ISOLATION: COMMITTED, **_PATIENCE, **bounded_options(for_java(options))}
    connector = {
        **{f"kafka.{name}": value for name, value in given.items()},
        "kafka.bootstrap.servers": servers,
        "subscribe": ",".join(topics),
        "startingOffsets": starting,
        "maxOffsetsPerTrigger": str(at_most),
        "failOnDataLoss": "false",
        "kafkaConsumer.pollTimeoutMs": str(LONGEST_MS),
    }
    return spark.readStream.format("kafka").options(**connector).load()


def starting_offsets(places: Sequence[Place], known: Offsets) -> str:
    """Returns `starting` for `read_topics`: each partition from its `known` offset, else its beginning."""
    found: dict[str, dict[str, int]] = {}
    for topic, partition in places:
        found.setdefault(topic, {})[str(partition)] = known.get((topic, partition), _EARLIEST)
    return json.dumps(found)


def usable(records: DataFrame) -> DataFrame:
    """`key, value, topic, partition, offset, timestamp, timestamp_ms` of the columns of Spark's Kafka source.

    `timestamp_ms` is what the producer or the broker gave, whatever that is: none, 0, or microseconds that
    mean the year 50000. `timestamp` is null unless that lies between 1970 and LATEST_MS.
    """
    made = "unix_millis(timestamp)"
    known = f"IF({made} > 0 AND {made} <= {LATEST_MS}, timestamp, NULL) AS timestamp"
    return records.selectExpr(
        "key", "value", "topic", "partition", "offset", known, f"{made} AS timestamp_ms"
    )


def batch_span(checkpoint: Path, number: int, topics: Sequence[str]) -> Span:
    """Which offsets the batch `number` reads, from Spark's own log in `checkpoint`.

    A partition that is new in this batch begins at 0.
    """
    last = _read(checkpoint / "offsets" / str(number), topics)
    before = checkpoint / "sources" / "0" / "0" if number == 0 else checkpoint / "offsets" / str(number - 1)
    first = _read(before, topics)
    return {
        place: (first.get(place, 0), offset)
        for place, offset in last.items()
        if offset != first.get(place, 0)
    }


def position(checkpoint: Path, topics: Sequence[str]) -> Offsets | None:
    """The offsets of the next records, after all batches that are done; None before the first plan."""
    done = [int(file.name) for file in (checkpoint / "commits").glob("*") if file.name.isdigit()]
    files = [checkpoint / "offsets" / str(max(done))] if done else []
    for file in (*files, checkpoint / "sources" / "0" / "0"):
        with suppress(OSError):
            return _read(file, topics)
    return None


def expired(span: Span, earliest: Offsets) -> dict[Place, tuple[int, int]]:
    """The part of `span` that Kafka has deleted; `earliest` has the first offset that is still there."""
    gone = {place: (first, min(after, earliest.get(place, 0))) for place, (first, after) in span.items()}
    return {place: (first, after) for place, (first, after) in gone.items() if first < after}


def count(span: Span) -> int:
    """The number of offsets in `span`; a partition whose log became shorter counts none."""
    return sum(max(0, after - first) for first, after in span.values())


def lost_offsets(span: Span, before: Span, after: Span, records: int, read_before: int = 0) -> int:
    """The number of offsets of `span` that were deleted before they could be read; `records` were read.

    `before` had `expired` before the span was read, `after` when it was; Spark got `read_before` records of
    the former all the same. Gaps of compacted topics and of transactions are no loss; only in offsets that
    expire while they are read they look like one, so the number is an upper bound there.
    """
    certain = count(before) - read_before
    meanwhile = count(after) - count(before)
    return max(0, certain + min(max(0, meanwhile), count(span) - records - certain))


def _read(file: Path, topics: Sequence[str]) -> Offsets:
    # The last line has the offsets; those before it, a version and settings of Spark's.
    found = json.loads(file.read_bytes().decode("utf-8").splitlines()[-1])
    return {
        (topic, int(partition)): int(offset)
        for topic in topics
        for partition, offset in found.get(topic, {}).items()
    }
