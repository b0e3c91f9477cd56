"""Whatever lies in a topic, and whatever becomes of it: each record ends somewhere, and it goes on."""

from __future__ import annotations

import json
import random
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from pymongo.database import Database
from pyspark.sql import SparkSession

from analytics.esports.rules import MATCHES
from analytics.stock.rules import SALES
from sinks.dead_letters import Letter
from tests.support.arena import Arena, Topics, match
from tests.support.odd_kafka import OddTopic
from tests.support.stock_events import assert_totals_are_the_sum_of_the_invoices, client, product, sale
from tests.support.stock_shop import StockShop, StockTopics

# So that what expires and what is read takes several batches.
_AT_ONCE = 20


class Pipeline(Protocol):
    """One of the two that read Kafka."""

    topic: str

    def good(self, number: int) -> bytes:
        """A record that counts."""
        ...

    def run(self) -> None:
        """Process what is there, as a new process would."""
        ...

    def written(self) -> list[int]:
        """The numbers of the records that are in the sink, as often as they are there."""
        ...

    def letters(self) -> Sequence[Letter]:
        """The dead letters."""
        ...

    def log(self) -> list[dict[str, Any]]:
        """The batch log's lines."""
        ...

    def waiting(self) -> int:
        """How many records wait, as the metric tells it."""
        ...


class _Esports:
    def __init__(self, folder: Path, kafka: str, spark: SparkSession) -> None:
        topics = Topics(kafka)
        self.topic = topics.matches
        self._arena = Arena(folder, topics, spark, kafka_max_offsets_per_trigger=_AT_ONCE)
        self.letters, self.log = self._arena.letters, self._arena.log

    def good(self, number: int) -> bytes:
        return json.dumps(match(number)).encode()

    def run(self) -> None:
        assert self._arena.run(MATCHES)

    def written(self) -> list[int]:
        return [int(name[1:]) for name in self._arena.ids("matches")]

    def waiting(self) -> int:
        with self._arena.pipeline(MATCHES) as pipeline:
            return pipeline.watch.waiting(MATCHES.name)


class _Stock:
    def __init__(self, folder: Path, kafka: str, uri: str, database: Any, spark: SparkSession) -> None:
        self._topics = StockTopics(kafka)
        self._shop = StockShop(
            folder, self._topics, uri, database, spark, stock_max_offsets_per_trigger=_AT_ONCE
        )
        self._topics.send(product("P1"), client("C1"))
        self.topic = self._topics.names[SALES]
        self.letters, self.log = self._shop.letters, self._shop.log

    def good(self, number: int) -> bytes:
        return json.dumps(sale(f"I{number}", P1=1)).encode()

    def run(self) -> None:
        assert self._shop.run()
        assert_totals_are_the_sum_of_the_invoices(self._shop.database)

    def written(self) -> list[int]:
        return [int(one["_id"][1:]) for one in self._shop.database["sales"].find()]

    def waiting(self) -> int:
        return self._shop.pipeline().watch.waiting("stock")

    def remove(self) -> None:
        self._topics.remove()


@contextmanager
def _pipeline(
    kind: str, folder: Path, kafka: str, uri: str, database: Any, spark: SparkSession
) -> Iterator[Pipeline]:
    if kind == "esports":
        yield _Esports(folder, kafka, spark)
        return
    stock = _Stock(folder, kafka, uri, database, spark)
    yield stock
    stock.remove()


class Course:
    """A topic's life, and what must have become of its records; `capsys` has the warnings."""

    def __init__(self, pipeline: Pipeline, topic: OddTopic, warned: Callable[[], str]) -> None:
        self._pipeline = pipeline
        self._topic = topic
        self._warned = warned
        self._good: set[int] = set()
        self._bad: set[int] = set()
        self._read_to: dict[int, int] = {}
        self.lost = 0

    def run(self, lost: int = 0, offsets: int = 0) -> str:
        """Process what is there; `lost` of the `offsets` have expired. Returns what was logged."""
        self._pipeline.run()
        self._good |= {one.number for one in self._topic.sent if one.is_good}
        self._bad |= {one.number for one in self._topic.sent if not one.is_good}
        self._read_to = {place: self._topic.end(place) for place in range(self._topic.partitions)}
        told = self._warned()
        counted = sum(int(number) for number in re.findall(r"up to (\d+) records", told))
        # Kafka does not say whether an offset that is gone had a record, or a transaction's marker.
        assert lost <= counted <= offsets
        self._check(told)
        return told

    def expire(self, partition: int, share: float) -> tuple[int, int]:
        """Delete so much of what was not read; records and offsets."""
        first, end = self._read_to.get(partition, 0), self._topic.end(partition)
        before = first + round((end - first) * share)
        known = self._good | self._bad
        unread = [one for one in self._topic.sent if one.partition == partition and one.offset < before]
        self._topic.expire(partition, before)
        return len([one for one in unread if one.number not in known]), before - first

    def _check(self, told: str) -> None:
        written = self._pipeline.written()
        missing = [one for one in self._topic.sent if one.is_good and one.number not in written]
        assert (missing, sorted(written)) == ([], sorted(self._good)), told
        found = [
            (int(_bytes(record["key"]).split(b" ")[0]), letter.reason)
            for letter in self._pipeline.letters()
            for record in letter.record["records"]
        ]
        assert sorted(number for number, _ in found) == sorted(self._bad)
        assert {reason for _, reason in found} <= {"corrupt"}
        log = self._pipeline.log()
        assert all(entry["success"] for entry in log)
        assert sum(entry["duplicates"] for entry in log) == 0
        assert self._pipeline.waiting() == 0


def _bytes(shown: str | bytes) -> bytes:
    return shown.encode() if isinstance(shown, str) else bytes(shown)


@pytest.mark.parametrize("kind", ["esports", "stock"])
def test_every_record_ends_somewhere_and_nothing_stands_still(
    kind: str,
    tmp_path: Path,
    kafka: str,
    mongo_uri: str,
    database: Database[dict[str, Any]],
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Odd times, keys, values and transactions; partitions added; records expired in part and in whole.

    The topic is made anew with fewer, as many and more records, while the checkpoint is kept.
    """
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with _pipeline(kind, tmp_path, kafka, mongo_uri, database, spark) as pipeline:
        topic = OddTopic(kafka, pipeline.topic, pipeline.good, chance)
        topic.make()
        course = Course(pipeline, topic, lambda: capsys.readouterr().out)
        topic.send(12)
        course.run()
        topic.send(30)
        whole, part = course.expire(0, 1.0), course.expire(1, chance.random())
        topic.grow()
        topic.send(4, partition=2)
        course.run(whole[0] + part[0], whole[1] + part[1])
        for more in chance.sample((-3, 0, 3), 3):
            ends = [topic.end(partition) for partition in range(topic.partitions)]
            topic.make()
            for partition, end in enumerate(ends):
                topic.fill(partition, max(1, end + more) if more else end)
            told = course.run()
            assert f"{topic.name} was deleted and made anew" in told
        topic.remove()
