"""What Spark's Kafka source is told."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import pytest

from sources.kafka_stream import read_topics


@pytest.mark.parametrize(("options", "waits"), [({}, 10), ({"fetch.max.wait.ms": "700"}, 700)])
def test_the_end_of_a_topic_holds_no_job_up(options: dict[str, str], waits: int) -> None:
    """By Kafka's default each job of a batch waits half a second there; who wants that may have it."""
    spark = MagicMock()
    read_topics(spark, "localhost:9092", options, ["sales"], 100, "earliest")
    given: dict[str, Any] = spark.readStream.format.return_value.options.call_args.kwargs
    assert int(given["kafka.fetch.max.wait.ms"]) == waits
