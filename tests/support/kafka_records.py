"""What lies in a topic of two partitions."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from confluent_kafka import Consumer, TopicPartition

_PATIENCE_SECONDS = 120


def arrived(servers: str, topic: str) -> list[tuple[str, dict[str, Any]]]:
    """Key and event of all records, in the order of each partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": secrets.token_hex(4),
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    places = [TopicPartition(topic, partition, 0) for partition in (0, 1)]
    left = sum(consumer.get_watermark_offsets(place, timeout=60)[1] for place in places)
    consumer.assign(places)
    found = []
    end = time.monotonic() + _PATIENCE_SECONDS
    while left:
        assert time.monotonic() < end, f"{left} records were not read"
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            found.append(((message.key() or b"").decode(), json.loads(message.value() or b"")))
            left -= 1
    consumer.close()
    return found
