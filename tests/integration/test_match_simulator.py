"""The match simulator and a real Kafka broker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.support.arena import Topics
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]


def _start(servers: str, matches: str, players: str) -> subprocess.Popen[str]:
    options = ["--kafka", "--interval", "0.05", "--seed", "1", "--malformed", "0.1"]
    return subprocess.Popen(
        [sys.executable, "-m", "simulation.esports.messages", *options],
        cwd=ROOT,
        env={
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": servers,
            "KAFKA_TOPIC_MATCHES": matches,
            "KAFKA_TOPIC_PLAYERS": players,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_is_told_is_in_the_topics_once(kafka: str) -> None:
    """Topics are made; after SIGTERM there are as many records as it says, each keyed by its id."""
    topics = Topics(kafka)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topics.matches, "log_level": 0})
    process = _start(kafka, topics.matches, topics.players)
    try:
        wait_for(lambda: _end(consumer, topics.matches) >= 20, "twenty matches", process)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        told = re.search(r"(\d+) match and (\d+) player messages written", output)
        assert told, output
        assert [_end(consumer, topic) for topic in (topics.matches, topics.players)] == [
            int(number) for number in told.groups()
        ]
        consumer.assign([TopicPartition(topics.matches, 0, 0)])
        records = consumer.consume(int(told[1]), timeout=30)
        assert len(records) == int(told[1])
        ids = {}
        for record in records:
            key, value = record.key(), record.value()
            assert isinstance(key, bytes)
            assert isinstance(value, bytes)
            if value.startswith(b'{"match_id"') and value.endswith(b"}"):
                ids[key.decode()] = json.loads(value)["match_id"]
        assert ids
        assert all(key == match_id for key, match_id in ids.items())
    finally:
        process.kill()
        process.communicate()
        consumer.close()
        topics.remove()


def test_a_broker_that_does_not_answer_is_named() -> None:
    """One sentence with the address and what to look at, exit code 2."""
    process = _start("127.0.0.1:9", "a", "b")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "Kafka at 127.0.0.1:9 does not answer" in errors
    assert "check KAFKA_BOOTSTRAP_SERVERS" in errors
    assert "Traceback" not in errors


def _end(consumer: Consumer, topic: str) -> int:
    """The offset after the last record; 0 before the topic is there."""
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=5)
    except KafkaException:
        return 0
    return int(end)
