"""The esports stream while something breaks: Kafka, a topic, one of two queries, the process itself."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from analytics.esports.rules import MATCHES, PLAYERS
from contracts import ConfigurationError
from pipelines.engine.kafka_connector import wait_for_broker
from pipelines.esports.batch import TopicWork
from sources.kafka_broker import KafkaBroker
from tests.support.arena import Arena, Topics, match, player
from tests.support.kafka_servers import OwnBroker, assert_outage_is_told
from tests.support.odd_kafka import made_anew
from tests.support.waiting import streaming, wait_for


@pytest.fixture
def quick(tmp_path: Path, topics: Topics, spark: SparkSession) -> Arena:
    """An arena with a batch each half second."""
    return Arena(tmp_path, topics, spark, esports_interval_seconds=0.5)


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
    with quick.pipeline() as pipeline, streaming(pipeline):
        wait_for(lambda: quick.ids("matches") == ["M1"], "the match")
        topics.create(topics.players)
        topics.send(topics.players, [player(1)])
        wait_for(lambda: quick.ids("players") == ["P1"], "the player")
    assert f"The topic {topics.players} does not exist" in capsys.readouterr().out
    topics.remove()


def test_a_topic_that_is_made_anew_under_the_running_stream_is_read_from_its_beginning(
    quick: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    """With as many records Spark alone sees nothing new; the look for the backlog does."""
    topics = quick.topics
    topics.send(topics.matches, [match(number) for number in range(6)])
    with quick.pipeline(MATCHES) as pipeline, streaming(pipeline):
        wait_for(lambda: len(quick.ids("matches")) == 6, "six matches")
        made_anew(topics.servers, topics.matches)
        topics.send(topics.matches, [match(number) for number in range(10, 16)])
        wait_for(lambda: len(quick.ids("matches")) == 12, "the six of the new topic")
    told = capsys.readouterr().out
    assert f"{topics.matches} was deleted and made anew" in told
    assert "are lost" not in told
    assert quick.total("duplicates") == 0


def test_the_death_of_one_query_does_not_stop_the_other(
    quick: Arena, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported, restarted with growing pauses, and goes on where it was."""
    with quick.pipeline() as pipeline, streaming(pipeline):
        quick.topics.send(quick.topics.players, [player(1)])
        wait_for(lambda: quick.ids("players") == ["P1"], "the first player")
        work = pipeline.streams[1].batch.work
        assert isinstance(work, TopicWork)
        players = work.store
        # Something that is no folder stands where its batches are written.
        wait_for(lambda: not list(players.staging.glob("batch=*")), "the folder to be empty")
        lock = players.staging.rename(players.staging.with_name("moved"))
        players.staging.write_text("in the way")
        quick.topics.send(quick.topics.players, [player(2)])
        wait_for(lambda: any(not entry["success"] for entry in quick.log()), "a failed batch")
        quick.topics.send(quick.topics.matches, [match(1)])
        wait_for(lambda: quick.ids("matches") == ["M1"], "the match")
        assert quick.ids("players") == ["P1"]
        players.staging.unlink()
        lock.rename(players.staging)
        wait_for(lambda: quick.ids("players") == ["P1", "P2"], "the second player")
    assert "players failed 1 times in a row; again in" in capsys.readouterr().out


def test_an_address_without_a_broker_is_one_sentence(arena: Arena, spark: SparkSession) -> None:
    """Which names the setting; a name that nobody knows is told at once."""
    lonely = Arena(
        arena.folder, arena.topics, spark, kafka_bootstrap_servers="127.0.0.1:1", kafka_wait_seconds=1
    )
    broker = KafkaBroker(spark, "127.0.0.1:1", {})
    with pytest.raises(
        ConfigurationError, match=r"No Kafka broker answered at 127\.0\.0\.1:1 within 1 seconds"
    ):
        wait_for_broker(broker, lonely.settings)
    broker.close()
    with pytest.raises(ConfigurationError, match=r"KAFKA_BOOTSTRAP_SERVERS=nowhere\.invalid:9092"):
        KafkaBroker(spark, "nowhere.invalid:9092", {})


def test_a_broker_that_is_killed_and_away_costs_nothing(
    own_kafka: OwnBroker, tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stream lives, says once that Kafka is away and is back, and after a minute has every record."""
    topics = Topics(own_kafka.servers)
    topics.create(topics.matches)
    arena = Arena(tmp_path, topics, spark, esports_interval_seconds=0.5)
    with arena.pipeline(MATCHES) as pipeline, streaming(pipeline):
        topics.send(topics.matches, [match(number) for number in range(10)])
        wait_for(lambda: len(arena.ids("matches")) == 10, "ten matches")
        own_kafka.run("kill")
        with pytest.raises(Exception, match="No Kafka broker answers"):
            pipeline.pings["Kafka"]()
        time.sleep(60)
        own_kafka.run("start")
        topics.send(topics.matches, [match(number) for number in range(10, 30)])
        wait_for(lambda: len(arena.ids("matches")) >= 30, "thirty matches")
        assert_outage_is_told("Kafka", capsys)
    assert arena.ids("matches") == sorted(f"M{number}" for number in range(30))
    assert arena.run(MATCHES)
    assert len(arena.ids("matches")) == 30
    assert PLAYERS.name not in {entry["stream"] for entry in arena.log()}
