"""Kafka is killed, or stands still with its connections open: it is told, and a stop ends in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from pyspark.sql import SparkSession

import sources.kafka_stream
from pipelines.engine import query_watch
from pipelines.engine.reporting import StreamReporting
from tests.contract.systems import SYSTEMS, System
from tests.contract.systems.running import opened
from tests.support.kafka_servers import OwnBroker
from tests.support.waiting import streaming, wait_for
from tests.support.world import KafkaTopics

_ON_KAFKA = sorted(name for name, kind in SYSTEMS.items() if kind.reads_kafka)
# How it goes away, and how it comes back.
_AWAY: dict[str, tuple[Callable[[OwnBroker], object], Callable[[OwnBroker], object]]] = {
    "is killed": (lambda broker: broker.run("kill"), lambda broker: broker.run("start")),
    "stands still": (OwnBroker.pause, OwnBroker.resume),
}
# The longest call to Kafka in a batch, for this test, and what a loaded machine adds.
_CALL_MS, _STOP_SECONDS = 3_000, 30.0


@pytest.fixture
def alone(
    request: pytest.FixtureRequest, own_kafka: OwnBroker, tmp_path: Path, spark: SparkSession
) -> Iterator[System]:
    """One with a broker of its own, which may be away at the end: its topics go with it."""
    found = {"kafka": own_kafka.servers}

    def given(name: str) -> object:
        return found.get(name) or request.getfixturevalue(name)

    with (
        patch.object(KafkaTopics, "remove"),
        SYSTEMS[request.param].opened(given, tmp_path, spark) as made,
    ):
        yield made
    # A stop lets go of a query that waits for Kafka; for the next test it would still be there.
    wait_for(lambda: not spark.streams.active, "the end of the query")


# Who stops is the engine, the same for all: each way once, for each costs a broker and half a minute.
@pytest.mark.parametrize(
    ("alone", "how", "in_a_batch"),
    [
        (_ON_KAFKA[0], "is killed", False),
        (_ON_KAFKA[-1], "stands still", False),
        (_ON_KAFKA[0], "stands still", True),
    ],
    indirect=["alone"],
)
def test_a_stop_ends_in_time_while_kafka_is_away(
    how: str,
    in_a_batch: bool,
    alone: System,
    own_kafka: OwnBroker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Between two batches, or in one that reads; the next run finds what was left."""
    monkeypatch.setattr(sources.kafka_stream, "LONGEST_MS", _CALL_MS)
    monkeypatch.setattr(query_watch, "_BACKLOG_SECONDS", 0.5)
    # Between two batches nothing but Spark's own patience bounds the call that plans the next one.
    alone.options = {"batch_interval_seconds": 0.5, "esports_interval_seconds": 0.5}
    if in_a_batch:
        alone.options["kafka_options"] = {"default.api.timeout.ms": str(_CALL_MS)}
    leave, come_back = _AWAY[how]
    begin, gone = StreamReporting.begin, threading.Event()

    def gone_at_once(reporting: StreamReporting, *given: Any) -> object:
        if not gone.is_set():
            leave(own_kafka)
            gone.set()
        return begin(reporting, *given)

    alone.send(range(5))
    with opened(alone) as job, streaming(job):
        wait_for(lambda: alone.seen() == 5, "the first batch")
        if in_a_batch:
            monkeypatch.setattr(StreamReporting, "begin", gone_at_once)
            alone.send(range(5, 10))
            wait_for(gone.is_set, "the middle of a batch")
        else:
            leave(own_kafka)
        told = ""

        def is_told() -> bool:
            nonlocal told
            told += capsys.readouterr().out
            return "Kafka is away" in told

        wait_for(is_told, "the line that Kafka is away", seconds=60)
        began = time.monotonic()
    took = time.monotonic() - began
    assert took < _STOP_SECONDS
    monkeypatch.undo()
    if in_a_batch:
        come_back(own_kafka)
        assert alone.run()
        assert alone.written() == list(range(10))
