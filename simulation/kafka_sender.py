"""Records produced to Kafka by a program that invents them, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from contracts import ConfigurationError, ServiceError
from simulation.program import Message

_CONNECT_SECONDS = 5.0
_DELIVERY_MILLISECONDS = 120_000


Send = Callable[[Iterable[Message], datetime], None]


@contextmanager
def kafka_sender(servers: str, topics: Mapping[Any, str], partitions: int = 1) -> Iterator[Send]:
    """Produce to the topics that `topics` names.

    All replicas acknowledge, and sending again after a fault makes no second message. Missing topics are made
    with `partitions`. Raises ServiceError without a broker, or when messages were not delivered.
    """
    from confluent_kafka import KafkaException, Producer

    options = {
        "bootstrap.servers": servers,
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "lz4",
        "linger.ms": 20,
        "delivery.timeout.ms": _DELIVERY_MILLISECONDS,
        # Its own lines on standard error would say the same as the errors here, again and again.
        "log_level": 2,
    }
    failed: Counter[str] = Counter()

    def delivered(error: Any, _message: Any) -> None:
        if error is not None:
            failed[error.str()] += 1

    def send(messages: Iterable[Message], _now: datetime) -> None:
        for message in messages:
            while True:
                try:
                    producer.produce(topics[message.topic], message.value, message.key, on_delivery=delivered)
                    break
                except BufferError:
                    producer.poll(0.5)
            producer.poll(0)

    try:
        _make_topics(servers, list(topics.values()), partitions)
    except KafkaException as error:
        raise ConfigurationError(
            f"Kafka at {servers} does not answer as needed ({error.args[0].str()}): check "
            "KAFKA_BOOTSTRAP_SERVERS and that the broker runs (script/kafka-server start)."
        ) from error
    producer = Producer(options)
    yield send
    left = producer.flush(_DELIVERY_MILLISECONDS / 1000)
    if left or failed:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in failed.items())
        raise ServiceError(
            f"{left + failed.total()} messages were not delivered to Kafka at {servers}"
            f"{f' ({reasons})' if reasons else ''}: is the broker still up?"
        )


def _make_topics(servers: str, topics: list[str], partitions: int) -> None:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
    known = admin.list_topics(timeout=_CONNECT_SECONDS).topics
    missing = [NewTopic(topic, partitions) for topic in topics if topic not in known]
    if not missing:
        return
    for made in admin.create_topics(missing, operation_timeout=_CONNECT_SECONDS).values():
        error = made.exception()
        # Another program may have made it meanwhile.
        if isinstance(error, KafkaException) and error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise error
