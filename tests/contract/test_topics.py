"""Whatever lies in a topic, and whatever becomes of it: each record ends somewhere, and it goes on."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable

import pytest

from pipelines.catalog import PIPELINES
from pipelines.engine.stream_job import StreamJob
from tests.contract.systems import SYSTEMS
from tests.contract.systems.on_kafka import OnKafka
from tests.contract.systems.running import opened
from tests.support.monitoring_stack import lacking_metrics, promtool
from tests.support.odd_kafka import OddTopic

# So that what expires and what is read takes several batches.
_AT_ONCE = 20
_on_kafka = pytest.mark.parametrize(
    "system", [one.name for one in SYSTEMS.values() if one.reads_kafka], indirect=True
)


class Course:
    """A topic's life, and what must have become of its records; `capsys` has the warnings."""

    def __init__(self, system: OnKafka, topic: OddTopic, warned: Callable[[], str]) -> None:
        self._system = system
        self._topic = topic
        self._warned = warned
        self._good: set[int] = set()
        self._bad: set[int] = set()
        self._read_to: dict[int, int] = {}
        self.lost = 0

    def run(self, lost: int = 0, offsets: int = 0) -> str:
        """Process what is there; `lost` of the `offsets` have expired. Returns what was logged."""
        assert self._system.run(at_once=_AT_ONCE)
        self._system.check()
        self._good |= {one.number for one in self._topic.sent if one.is_good}
        self._bad |= {one.number for one in self._topic.sent if not one.is_good}
        self._read_to = {place: self._topic.end(place) for place in range(self._topic.partitions)}
        told = self._warned()
        counted = sum(int(number) for number in re.findall(r"up to (\d+) records", told))
        # Also of batches that have offsets and no records.
        assert "does not answer" not in told
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
        written = self._system.written()
        missing = [one for one in self._topic.sent if one.is_good and one.number not in written]
        assert (missing, sorted(written)) == ([], sorted(self._good)), told
        found = [
            (int(_bytes(record["key"]).split(b" ")[0]), letter.reason)
            for letter in self._system.letters()
            for record in letter.record["records"]
        ]
        assert sorted(number for number, _ in found) == sorted(self._bad)
        assert {reason for _, reason in found} <= {"corrupt"}
        log = self._system.log()
        assert all(entry["success"] for entry in log)
        assert sum(entry["duplicates"] for entry in log) == 0
        assert _waiting(self._system) == 0


def _bytes(shown: str | bytes) -> bytes:
    return shown.encode() if isinstance(shown, str) else bytes(shown)


@_on_kafka
def test_every_record_ends_somewhere_and_nothing_stands_still(
    system: OnKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    """Odd times, keys, values and transactions; partitions added; records expired in part and in whole.

    The topic is made anew with fewer, as many and more records, while the checkpoint is kept.
    """
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    servers = system.all_topics.servers
    topic = OddTopic(servers, system.topic, lambda number: system.raw(number).encode(), chance)
    topic.make()
    course = Course(system, topic, lambda: capsys.readouterr().out)
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
        system.made += 1
        for partition, end in enumerate(ends):
            topic.fill(partition, max(1, end + more) if more else end)
        told = course.run()
        assert f"{topic.name} was deleted and made anew" in told


@_on_kafka
def test_records_that_expired_before_they_were_read_are_counted(
    system: OnKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the log and the metrics, which have all that the alerts read; those that are still there go on."""
    _send(system, range(4))
    assert system.run()
    _send(system, range(10, 20))
    system.all_topics.expire(system.topic, 0, 11)
    assert system.run()
    assert system.written() == [0, 1, 2, 3, 17, 18, 19]
    assert "up to 7 records" in capsys.readouterr().out
    lost = {value for name, value in system.metrics().items() if name.startswith("offsets_lost_total")}
    assert lost == {7.0}
    page = (system.settings().metrics_directory / system.metrics_file).read_text()
    assert lacking_metrics(PIPELINES[system.name], page) == {}
    checked = promtool("check", "metrics", content=page.encode())
    # promtool names the seed's one abbreviated unit, and nothing else.
    named = {line.split()[0] for line in checked.stdout.splitlines()}
    assert named <= {f"{system.name}_average_processing_time_ms"}
    system.check()


def _send(system: OnKafka, numbers: Iterable[int]) -> None:
    system.all_topics.produce((system.topic, system.raw(number), 0) for number in numbers)


def _waiting(system: OnKafka) -> int:
    """How many records wait, as the metric tells it."""
    with opened(system) as job:
        assert isinstance(job, StreamJob)
        return sum(job.watch.waiting(stream.batch.stream) for stream in job.streams)
