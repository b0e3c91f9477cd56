"""The esports stream while something breaks: Kafka, a topic, one of two queries, the process itself."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from analytics.esports.rules import MATCHES, PLAYERS, Dataset
from contracts import ConfigurationError
from pipelines.engine.kafka_connector import wait_for_broker
from pipelines.engine.stop_flag import StopFlag
from pipelines.engine.stream_job import StreamJob
from pipelines.esports.batch import TopicWork
from pipelines.esports.feed import kafka_feed
from tests.support.arena import Arena, Topics, match, player
from tests.support.kafka_servers import OwnBroker
from tests.support.odd_kafka import OddTopic

_PATIENCE_SECONDS = 180


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, patiently."""
    ends = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.2)


@contextmanager
def streaming(arena: Arena, *datasets: Dataset) -> Iterator[StreamJob]:
    """The stream runs inside the block and is stopped in good order at its end."""
    with arena.pipeline(*datasets) as pipeline:
        stop = StopFlag()
        thread = threading.Thread(target=pipeline.stream, args=(stop,))
        thread.start()
        try:
            yield pipeline
        finally:
            stop.set()
            thread.join(_PATIENCE_SECONDS)
    assert not thread.is_alive()


@pytest.fixture
def quick(tmp_path: Path, topics: Topics, spark: SparkSession) -> Arena:
    """An arena with a batch each half second."""
    return Arena(tmp_path, topics, spark, esports_interval_seconds=0.5)


@pytest.mark.parametrize("step", ["stage", "dead_letters", "sync", "commit", "report"])
def test_a_batch_that_fails_after_any_step_is_there_once(step: str, arena: Arena) -> None:
    """It comes again and finds what it had done; nothing is doubled, no letter, no row, no folder.

    Only between its report and the note of that it is told twice.
    """
    faulty = Arena(arena.folder, arena.topics, arena._spark, fault=f"{step}:raise:1")
    faulty.topics.send(faulty.topics.matches, [*[match(number) for number in range(20)], "{", "{}"])
    assert faulty.run(MATCHES)
    assert faulty.ids("matches") == sorted(f"M{number}" for number in range(20))
    assert sorted(reason for reason, _ in faulty.dead_records().values()) == ["corrupt", "missing_match_id"]
    succeeded = [entry for entry in faulty.log() if entry["success"]]
    assert [entry["records_processed"] for entry in succeeded] == [22] * (2 if step == "report" else 1)
    assert list((faulty.settings.esports_output_path / ".staging" / "matches").glob("*")) == []


def test_a_reader_never_sees_a_part_of_a_batch(tmp_path: Path, topics: Topics, spark: SparkSession) -> None:
    """duckdb reads in a loop while forty batches are written: what it sees of one never changes."""
    arena = Arena(tmp_path, topics, spark, kafka_max_offsets_per_trigger=50)
    topics.send(topics.matches, [match(number) for number in range(2000)])
    seen: dict[str, set[int]] = {}
    looks = 0
    done = threading.Event()

    def look() -> None:
        nonlocal looks
        while not done.is_set():
            counts: dict[str, int] = {}
            for (batch,) in arena.rows("matches", "batch"):
                counts[batch] = counts.get(batch, 0) + 1
            for batch, count in counts.items():
                seen.setdefault(batch, set()).add(count)
            looks += 1

    reader = threading.Thread(target=look)
    reader.start()
    try:
        assert arena.run(MATCHES)
    finally:
        done.set()
        reader.join()
    assert looks > 10
    assert len(seen) > 10
    assert all(len(counts) == 1 for counts in seen.values())
    arena.assert_accounted(2000)


def test_a_missing_topic_is_named_and_waited_for(
    tmp_path: Path, kafka: str, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bounded pass ends with one sentence; the stream goes on with the other topic until it is there."""
    topics = Topics(kafka)
    topics.create(topics.matches)
    quick = Arena(tmp_path, topics, spark, esports_interval_seconds=0.5)
    with pytest.raises(ConfigurationError, match=f"The topic {topics.players} does not exist on Kafka at"):
        quick.run()
    topics.send(topics.matches, [match(1)])
    with streaming(quick):
        until(lambda: quick.ids("matches") == ["M1"])
        topics.create(topics.players)
        topics.send(topics.players, [player(1)])
        until(lambda: quick.ids("players") == ["P1"])
    assert f"The topic {topics.players} does not exist" in capsys.readouterr().out
    topics.remove()


def test_a_topic_that_is_made_anew_under_the_running_stream_is_read_from_its_beginning(
    quick: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    """With as many records Spark alone sees nothing new; the look for the backlog does."""
    topics = quick.topics
    topic = OddTopic(topics.servers, topics.matches, bytes, random.Random(0))
    topics.send(topics.matches, [match(number) for number in range(6)])
    with streaming(quick, MATCHES):
        until(lambda: len(quick.ids("matches")) == 6)
        topic.make()
        topics.send(topics.matches, [match(number) for number in range(10, 16)])
        until(lambda: len(quick.ids("matches")) == 12)
    told = capsys.readouterr().out
    assert f"{topics.matches} was deleted and made anew" in told
    assert "are lost" not in told
    assert quick.total("duplicates") == 0


def test_the_death_of_one_query_does_not_stop_the_other(
    quick: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported, restarted with growing pauses, and goes on where it was."""
    with streaming(quick) as pipeline:
        quick.topics.send(quick.topics.players, [player(1)])
        until(lambda: quick.ids("players") == ["P1"])
        work = pipeline.streams[1].batch.work
        assert isinstance(work, TopicWork)
        players = work.store
        # Something that is no folder stands where its batches are written.
        until(lambda: not list(players.staging.glob("batch=*")))
        lock = players.staging.rename(players.staging.with_name("moved"))
        players.staging.write_text("in the way")
        quick.topics.send(quick.topics.players, [player(2)])
        until(lambda: any(not entry["success"] for entry in quick.log()))
        quick.topics.send(quick.topics.matches, [match(1)])
        until(lambda: quick.ids("matches") == ["M1"])
        assert quick.ids("players") == ["P1"]
        players.staging.unlink()
        lock.rename(players.staging)
        until(lambda: quick.ids("players") == ["P1", "P2"])
    assert "players failed 1 times in a row; again in" in capsys.readouterr().out


def test_an_address_without_a_broker_is_one_sentence(arena: Arena, spark: SparkSession) -> None:
    """Which names the setting; a name that nobody knows is told at once."""
    lonely = Arena(
        arena.folder, arena.topics, spark, kafka_bootstrap_servers="127.0.0.1:1", kafka_wait_seconds=1
    )
    feed = kafka_feed(lonely.settings, spark)
    with pytest.raises(
        ConfigurationError, match=r"No Kafka broker answered at 127\.0\.0\.1:1 within 1 seconds"
    ):
        wait_for_broker(feed.broker, lonely.settings)
    feed.broker.close()
    nowhere = Arena(arena.folder, arena.topics, spark, kafka_bootstrap_servers="nowhere.invalid:9092")
    with pytest.raises(ConfigurationError, match=r"KAFKA_BOOTSTRAP_SERVERS=nowhere\.invalid:9092"):
        kafka_feed(nowhere.settings, spark)


def test_a_broker_that_is_killed_and_away_costs_nothing(
    own_kafka: OwnBroker, tmp_path: Path, spark: SparkSession
) -> None:
    """The stream lives, says that Kafka is away, and after a minute goes on with every record."""
    topics = Topics(own_kafka.servers)
    topics.create(topics.matches)
    arena = Arena(tmp_path, topics, spark, esports_interval_seconds=0.5)
    with streaming(arena, MATCHES) as pipeline:
        topics.send(topics.matches, [match(number) for number in range(10)])
        until(lambda: len(arena.ids("matches")) == 10)
        own_kafka.run("kill")
        with pytest.raises(Exception, match="No Kafka broker answers"):
            pipeline.pings["Kafka"]()
        time.sleep(60)
        own_kafka.run("start")
        topics.send(topics.matches, [match(number) for number in range(10, 30)])
        until(lambda: len(arena.ids("matches")) >= 30)
    assert arena.ids("matches") == sorted(f"M{number}" for number in range(30))
    assert arena.run(MATCHES)
    assert len(arena.ids("matches")) == 30
    assert PLAYERS.name not in {entry["stream"] for entry in arena.log()}
