"""Records of Kafka without Spark's connector, which fails at times that Spark cannot hold.

Spark counts microseconds in 64 bits. A record whose time, meant as milliseconds, needs more (a producer that
sends nanoseconds) fails the whole batch, again and again; so that batch is read by librdkafka.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from pyspark.sql import DataFrame, SparkSession

from contracts import UnavailableError
from sources.kafka_broker import COMMITTED, ISOLATION, Place
from sources.kafka_client import client_options
from sources.kafka_stream import LATEST_MS, Span

_AT_ONCE = 1_000
_SILENT_SECONDS = 30.0
_SPARK_MS = (2**63 - 1) // 1_000
_MICROSECONDS = pa.timestamp("us", tz="UTC")


def is_beyond_spark(error: Exception) -> bool:
    """Whether the connector failed at a record's time."""
    text = str(error)
    return "long overflow" in text and "ArithmeticException" in text


def read_span(
    spark: SparkSession, servers: str, options: Mapping[str, str], span: Span
) -> tuple[DataFrame, bool]:
    """The records of `span` with the columns of `sources.kafka_stream.usable`, in the driver's memory.

    Returns with them whether one has a time that Spark's connector could not read.
    Raises UnavailableError when Kafka does not give them, or this client has not the options to reach it.
    """
    columns: dict[str, list[Any]] = {
        name: [] for name in ("key", "value", "topic", "partition", "offset", "timestamp_ms")
    }
    for message in _messages(servers, options, span):
        row = (message.key(), message.value(), message.topic(), message.partition(), message.offset())
        kind, made = message.timestamp()
        for name, value in zip(columns, (*row, made if kind else None), strict=True):
            columns[name].append(value)
    is_beyond = any(abs(made or 0) > _SPARK_MS for made in columns["timestamp_ms"])
    return spark.createDataFrame(records_table(columns)), is_beyond


def records_table(columns: dict[str, list[Any]]) -> pa.Table:
    """`key, value, topic, partition, offset, timestamp_ms` with `timestamp`, as `usable` would make them."""
    known = [None if ms is None or not 0 < ms <= LATEST_MS else ms * 1_000 for ms in columns["timestamp_ms"]]
    return pa.table(
        {
            "key": pa.array(columns["key"], pa.binary()),
            "value": pa.array(columns["value"], pa.binary()),
            "topic": pa.array(columns["topic"], pa.string()),
            "partition": pa.array(columns["partition"], pa.int32()),
            "offset": pa.array(columns["offset"], pa.int64()),
            "timestamp": pa.array(known, pa.int64()).cast(_MICROSECONDS),
            "timestamp_ms": pa.array(columns["timestamp_ms"], pa.int64()),
        }
    )


def _messages(servers: str, options: Mapping[str, str], span: Span) -> Iterator[Any]:
    ours = {
        ISOLATION: options.get(ISOLATION, COMMITTED),
        # Never joined: the partitions are assigned.
        "group.id": f"direct-{secrets.token_hex(8)}",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "log_level": 0,
    }
    consumer = client_options(options).make(Consumer, servers, ours)
    left: set[Place] = {place for place, (first, after) in span.items() if first < after}
    consumer.assign([TopicPartition(*place, span[place][0]) for place in left])
    heard = time.monotonic()
    try:
        while left:
            found = consumer.consume(_AT_ONCE, 0.5)
            if found:
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENT_SECONDS:
                raise UnavailableError(
                    f"Kafka at {servers} did not give the records of a batch within "
                    f"{_SILENT_SECONDS:g} seconds; it comes again."
                )
            for message in found:
                place, offset = (message.topic(), message.partition()), message.offset()
                after = span[place][1]
                if message.error() is None:
                    if offset < after:
                        yield message
                elif message.error().code() != KafkaError._PARTITION_EOF:
                    continue
                # If a span ends with a transaction's marker, only the end of the log says that it was read.
                if offset >= after - (message.error() is None):
                    left.discard(place)
    except KafkaException as error:
        raise UnavailableError(f"Kafka did not give the records of a batch: {error.args[0].str()}") from None
    finally:
        consumer.close()
