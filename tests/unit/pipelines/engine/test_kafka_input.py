"""What was lost in Kafka, whether a topic is another one, and what a value that is no JSON looks like."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.kafka_json import looks_like
from checkpoint.known_topics import Known
from contracts import ServiceError
from pipelines.engine.kafka_input import KafkaInput
from pipelines.engine.supervisor import StartAnewError
from pipelines.engine.topics import Reading
from settings import load
from sources.kafka_broker import NO_ID
from sources.kafka_direct import records_table
from sources.kafka_stream import expired, lost_offsets

Places = dict[tuple[str, int], int]


_N = st.integers(0, 35)


@given(st.lists(st.tuples(st.sets(_N), _N, _N, _N, _N), min_size=1, max_size=3))
def test_what_expired_before_it_was_read_is_lost_and_gaps_are_not(
    partitions: list[tuple[set[int], int, int, int, int]],
) -> None:
    """Exact but for gaps in what expired, and for what expires while it is read: there an upper bound."""
    span, before, after, records, lost, offsets = {}, {}, {}, 0, 0, 0
    for number, (there, one, other, early, late) in enumerate(partitions):
        first, end = sorted((one, other))
        place = ("t", number)
        span[place], before[place], after[place] = (first, end), early, max(early, late)
        read = {offset for offset in there if max(first, early) <= offset < end}
        records += len(read)
        lost += len({offset for offset in there if first <= offset < min(early, end)})
        offsets += max(0, min(early, end) - first)
    found = lost_offsets(span, expired(span, before), expired(span, before), records)
    assert lost <= found == offsets
    meanwhile = lost_offsets(span, expired(span, before), expired(span, after), records)
    assert found <= meanwhile <= sum(end - first for first, end in span.values()) - records


class Broker:
    """Topics as a cluster would tell of them; `ends` also stands for the partitions."""

    def __init__(self, ids: dict[str, str], ends: Places) -> None:
        self.ids, self.ends = ids, ends

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """Those that exist."""
        return {topic: self.ids[topic] for topic in topics if topic in self.ids}

    def partitions(self, topics: Iterable[str]) -> list[tuple[str, int]]:
        """Of those that exist."""
        return [place for place in self.ends if place[0] in set(topics)]

    def earliest(self, _places: object) -> Places:
        """Nothing expires."""
        return dict.fromkeys(self.ends, 0)

    def latest(self, _places: object) -> Places:
        """The ends."""
        return self.ends


def _input(folder: Path, broker: Broker, read: dict[str, set[str]] | None = None) -> KafkaInput:
    return KafkaInput(
        cast(Any, None), load(env_file=None), cast(Any, broker), folder, ["a", "b"], 10,
        lambda topic: (read or {}).get(topic, set()), lambda topic: f"{topic} is missing.",
    )  # fmt: skip


def _spark_was_here(folder: Path, offsets: dict[str, dict[str, int]]) -> None:
    for name, content in (("offsets/0", f"v1\n{{}}\n{json.dumps(offsets)}"), ("commits/0", "v1\n{}")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def test_only_the_topic_that_is_another_one_begins_anew(tmp_path: Path) -> None:
    """The others go on from where Spark has noted them as done, not from what was only planned."""
    folder = tmp_path / "events"
    broker = Broker({"a": "1", "b": "2"}, {("a", 0): 6, ("b", 0): 9})
    source = _input(folder, broker)
    assert source._know() == Known({"a": "1", "b": "2"})
    _spark_was_here(folder, {"a": {"0": 6}, "b": {"0": 4}})
    (folder / "offsets" / "1").write_text('v1\n{}\n{"a": {"0": 6}, "b": {"0": 9}}')
    assert source._know() == Known({"a": "1", "b": "2"})
    assert source.waiting() == 5
    broker.ids["a"] = "3"
    with pytest.raises(StartAnewError):
        source.waiting()
    with pytest.raises(StartAnewError):
        source.verify(Reading({}, {"a": "1", "b": "2"}, cast(Any, None)))
    known = source._know()
    assert known == Known({"a": "3", "b": "2"}, {("b", 0): 4})
    assert source._know() == known
    assert source.waiting() == 6 + 5
    del broker.ids["b"]
    with pytest.raises(ServiceError, match="b is missing"):
        source.verify(Reading({}, known.ids, cast(Any, None)))


@pytest.mark.parametrize(("read", "anew"), [({"1"}, True), ({"1", "3"}, False), (set(), False)])
def test_a_checkpoint_of_an_earlier_version_belongs_to_the_topic_whose_records_the_sink_has(
    read: set[str], anew: bool, tmp_path: Path
) -> None:
    """So an upgrade finds a topic that was made anew before it, and takes no other for one."""
    folder = tmp_path / "events"
    _spark_was_here(folder, {"a": {"0": 6}, "b": {"0": 4}})
    known = _input(folder, Broker({"a": "3", "b": "2"}, {("a", 0): 6, ("b", 0): 4}), {"a": read})._know()
    assert known == Known({"a": "3", "b": "2"}, {("b", 0): 4} if anew else None)


def test_without_ids_a_topic_that_is_shorter_than_what_was_read_is_another_one(tmp_path: Path) -> None:
    """It gets a name of its own, so that its offsets are not taken for those of the last one."""
    folder = tmp_path / "events"
    broker = Broker(dict.fromkeys("ab", NO_ID), {("a", 0): 6, ("b", 0): 4})
    source = _input(folder, broker)
    source._know()
    _spark_was_here(folder, {"a": {"0": 6}, "b": {"0": 4}})
    assert source._know().ids == dict.fromkeys("ab", NO_ID)
    for number in (1, 2):
        broker.ends["a", 0] = 5
        known = source._know()
        assert known == Known({"a": f"{NO_ID}#{number}", "b": NO_ID}, {("b", 0): 4})
        _spark_was_here(folder, {"a": {"0": 6}, "b": {"0": 4}})
        broker.ends["a", 0] = 7
        assert source._know().ids == known.ids
    broker.ids = {"a": "real", "b": "other"}
    assert source._know().ids == {"a": "real", "b": "other"}
    assert (folder / "offsets").exists()


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "tombstone"),
        (b" ", "empty"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16"),
        ('{"a": 1}'.encode("utf-16-be"), "UTF-16"),
        (b"Obj\x01\x04", "Avro container"),
        (b'\x00\x00\x00\x00\x07{"a": 1}', "schema 7"),
        (b"\x00\x00\x01\x86\xa0\x02\x06abc", "schema 100000"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x82\xa1a\x01\xa1b\x02", "MessagePack"),
        (b"\x0a\x03abc\x10\x05", "Protobuf"),
        (b"\x08\x96\x01", "Protobuf"),
        (b'{"a": 1', None),
        (b"\n{", None),
        (b"hello", None),
        (b"\x00", None),
    ],
)
def test_a_value_that_is_no_json_tells_what_it_looks_like(value: bytes | None, word: str | None) -> None:
    """Where its first bytes say so; what is only broken says nothing."""
    found = looks_like(value)
    assert (found is None) if word is None else (found is not None and word in found)


@given(st.binary(max_size=12))
def test_any_bytes_look_like_something_or_nothing(value: bytes) -> None:
    """Nothing is raised."""
    assert looks_like(value) != ""


@given(st.none() | st.integers(-(2**63), 2**63 - 1))
def test_any_time_of_kafka_is_a_time_or_unknown(made: int | None) -> None:
    """Nothing overflows on the way to Python."""
    one: dict[str, list[Any]] = {
        "key": [None],
        "value": [b""],
        "topic": ["t"],
        "partition": [0],
        "offset": [0],
    }
    (row,) = records_table({**one, "timestamp_ms": [made]}).to_pylist()
    assert row["timestamp_ms"] == made
    assert (row["timestamp"] is None) == (made is None or not 0 < made < 253_402_300_800_000)
