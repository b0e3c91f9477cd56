"""Odd records of Kafka, and topics that are odd: what people report, in any order, drawn from a seed."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewPartitions,
    NewTopic,
)

from tests.support.waiting import wait_for

_WAIT_SECONDS = 60
_MAX = 2**63 - 1
# Milli-, micro-, nanoseconds, seconds, none, 0, before 1970, the years 2100 and 10000, the ends of 64 bits.
TIMES = (0, -1, 1, -5, 1_700_000_000_000, 1_700_000_000_000_000, 1_700_000_000_000_000_000, 1_700_000_000,
         4_102_444_800_000, -62_135_596_800_001, 253_402_300_800_000, _MAX, -_MAX)  # fmt: skip
_KEYS = (None, b"", b"\xff\xfe\x00", "ключ".encode(), b'{"key": 1}', b"k" * 2_000)
# What comes before a record's number; all of it is `corrupt`.
HEADS = (b"\xef\xbb\xbf", b"Obj\x01", b"\x00\x00\x00\x00\x07", b"\x1f\x8b\x08", b"\xff\xfe{\x00", b"{",
         b"\x82\xa1a", b"\xc3(")  # fmt: skip

Good = Callable[[int], bytes]


@dataclass(frozen=True)
class Sent:
    """A record that a reader may see; `number` is in its value when it has one, and always in its key."""

    number: int
    partition: int
    offset: int
    value: bytes | None
    is_good: bool


@dataclass
class OddTopic:
    """One topic of a test. `sent` is what the present topic has, or had before it expired."""

    servers: str
    name: str
    good: Good
    chance: random.Random
    partitions: int = 2
    sent: list[Sent] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})

    def make(self) -> None:
        """Make it, in place of one of that name; what producers give as a time is what the broker keeps."""
        self._admin.delete_topics([self.name])[self.name].exception(_WAIT_SECONDS)
        self.sent = []
        config = {f"message.timestamp.{name}.max.ms": str(_MAX) for name in ("before", "after")}
        # By the times of the records they would be due for deletion at once.
        config["retention.ms"] = "-1"
        made = _patiently(lambda: self._create(config), "the topic to be made")
        assert made is None
        # For some moments a broker serves the old one, and loses what it takes for that.
        wait_for(
            lambda: not any(self.end(partition) for partition in range(self.partitions)),
            "the topic to be empty",
        )

    def _create(self, config: dict[str, str]) -> Any:
        new = NewTopic(self.name, self.partitions, 1, config=config)
        return self._admin.create_topics([new])[self.name].result(_WAIT_SECONDS)

    def grow(self) -> None:
        """One partition more."""
        self.partitions += 1
        asked = self._admin.create_partitions([NewPartitions(self.name, self.partitions)])
        asked[self.name].result(_WAIT_SECONDS)

    def expire(self, partition: int, before: int) -> int:
        """Delete the records before the offset; how many a reader could have seen there."""
        place = TopicPartition(self.name, partition, before)
        self._admin.delete_records([place])[place].result(_WAIT_SECONDS)
        gone = [one for one in self.sent if one.partition == partition and one.offset < before]
        self.sent = [one for one in self.sent if one not in gone]
        return len(gone)

    def end(self, partition: int, isolation: str = "read_uncommitted") -> int:
        """The offset after the last one, markers of transactions included."""
        options = {"bootstrap.servers": self.servers, "isolation.level": isolation, "log_level": 0}
        consumer = Consumer({**options, "group.id": "none"})
        place = TopicPartition(self.name, partition)
        try:
            # A topic that was just made has no leader yet.
            return int(_patiently(lambda: consumer.get_watermark_offsets(place, timeout=10), "its end")[1])
        finally:
            consumer.close()

    def send(self, records: int, partition: int | None = None) -> None:
        """Send records, some in transactions that are committed or aborted."""
        left = records
        while left:
            some = min(left, self.chance.randint(1, 6))
            left -= some
            how = self.chance.choice(("plain", "plain", "committed", "aborted"))
            self._send(some, how, partition)
            if how == "aborted":
                left += some

    def fill(self, partition: int, end: int) -> None:
        """Until the partition ends there, if it does not already."""
        left = end - self.end(partition)
        if left > 0:
            self._send(left, "plain", partition)

    def _send(self, records: int, how: str, partition: int | None) -> None:
        options: dict[str, Any] = {"bootstrap.servers": self.servers, "message.max.bytes": 2_000_000}
        if how != "plain":
            options["transactional.id"] = secrets.token_hex(8)
        producer = Producer({**options, "log_level": 0})
        if how != "plain":
            producer.init_transactions(_WAIT_SECONDS)
            producer.begin_transaction()
        found: list[Sent] = []
        for number, value, is_good in self._values(records):
            place = self.chance.randrange(self.partitions) if partition is None else partition
            producer.produce(
                self.name,
                value,
                b"%d " % number + (self.chance.choice(_KEYS) or b""),
                partition=place,
                timestamp=self.chance.choice(TIMES),
                headers=[("h", self.chance.choice((None, b"", b"\xff\x00")))],
                on_delivery=_note(found, number, value, is_good),
            )
        assert producer.flush(_WAIT_SECONDS) == 0
        assert len(found) == records
        if how != "plain":
            end = producer.abort_transaction if how == "aborted" else producer.commit_transaction
            end(_WAIT_SECONDS)
            self._await_markers(found)
        if how != "aborted":
            self.sent += found

    def _await_markers(self, sent: list[Sent]) -> None:
        """Brokers write them some moments after they have said that the transaction is over."""
        last = {one.partition: one.offset for one in sent}
        wait_for(
            lambda: all(self.end(place, "read_committed") >= offset + 2 for place, offset in last.items()),
            "the end of the transaction",
        )

    def _values(self, records: int) -> Iterator[tuple[int, bytes | None, bool]]:
        for _ in range(records):
            self.number += 1
            kind = self.chance.choice(("good",) * 6 + ("head",) * 3 + ("null",))
            value: bytes | None = self.good(self.number)
            if kind == "head":
                value = self.chance.choice(HEADS) + b"%d" % self.number
                if self.chance.random() < 0.1:
                    value += b"x" * 1_000_000
            yield self.number, None if kind == "null" else value, kind == "good"

    def remove(self) -> None:
        """Delete it."""
        self._admin.delete_topics([self.name])[self.name].exception(_WAIT_SECONDS)


def made_anew(servers: str, topic: str) -> None:
    """Delete the topic and make it anew with two empty partitions."""
    OddTopic(servers, topic, bytes, random.Random(0)).make()


def _note(found: list[Sent], number: int, value: bytes | None, is_good: bool) -> Any:
    def delivered(error: Any, message: Any) -> None:
        assert error is None, error
        found.append(Sent(number, message.partition(), message.offset(), value, is_good))

    return delivered


def _patiently(ask: Callable[[], Any], what: str) -> Any:
    answer: list[Any] = []

    def is_answered() -> bool:
        with suppress(KafkaException):
            answer.append(ask())
        return bool(answer)

    wait_for(is_answered, what)
    return answer[0]
