"""The Kafka client of the outbox: idempotent, and patient for as long as the broker is away."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from contracts import ConfigurationError
from monitoring.logs import get_logger

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
    # What goes wrong comes to `on_error`.
    "log_level": 0,
}
_JAAS: Final = re.compile(r"""\b(username|password)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_UNKNOWN: Final = re.compile("No such configuration property|Java .* not supported")


def make_producer(
    servers: str, options: Mapping[str, str], on_error: Callable[[KafkaError], None]
) -> Producer:
    """A producer with the options of KAFKA_OPTION_… by Kafka's names; it connects by itself.

    Those that only Java's client has are left out, but for the user and password of `sasl.jaas.config`.
    Raises ConfigurationError when an option has an impossible value.
    """
    chosen = {**_credentials(options), **{name: value for name, value in options.items() if _is_known(name)}}
    config: dict[str, Any] = {"bootstrap.servers": servers, **chosen, **_OURS, "error_cb": on_error}
    try:
        return Producer(config)
    except KafkaException as error:
        # The message names the option; its value may be secret.
        known = [name for name in chosen if name in str(error)]
        raise ConfigurationError(
            f"The outbox' Kafka client cannot work with the KAFKA_OPTION_… given "
            f"({', '.join(known) or 'all'}). Correct them."
        ) from None


def _credentials(options: Mapping[str, str]) -> dict[str, str]:
    found = _JAAS.findall(options.get("sasl.jaas.config", ""))
    return {f"sasl.{name}": double or single for name, double, single in found}


def _is_known(name: str) -> bool:
    try:
        Producer({name: ""})
    except KafkaException as error:
        if _UNKNOWN.search(str(error)):
            logger.info(f"The outbox' Kafka client has no option {name}; it does without")
            return False
    return True
