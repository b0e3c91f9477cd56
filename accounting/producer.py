"""The Kafka client of the outbox: idempotent, and patient for as long as the broker is away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from confluent_kafka import KafkaError, Producer

from monitoring.logs import get_logger
from sources.kafka_client import client_options

logger = get_logger(__name__)

_OURS: Final = {
    # A retry of the client's own neither doubles nor reorders; the broker has it on all replicas.
    "enable.idempotence": True,
    "acks": "all",
    # Waits for the broker as long as it takes: what waits is in the outbox anyhow.
    "message.timeout.ms": 0,
    "reconnect.backoff.max.ms": 2_000,
    "topic.metadata.propagation.max.ms": 5_000,
    "linger.ms": 20,
    # Errors come to `on_error`.
    "log_level": 0,
}


def make_producer(
    servers: str, options: Mapping[str, str], on_error: Callable[[KafkaError], None]
) -> Producer:
    """A producer with the options of KAFKA_OPTION_… by Kafka's names; it connects by itself.

    Those that only Java's client has are left out, but for the user and password of `sasl.jaas.config`.
    Raises ConfigurationError when an option has an impossible value.
    """
    chosen = client_options(options)
    for name in chosen.left_out:
        logger.info(f"The outbox' Kafka client has no option {name}; it does without")
    producer: Producer = chosen.make(Producer, servers, {**_OURS, "error_cb": on_error})
    return producer
