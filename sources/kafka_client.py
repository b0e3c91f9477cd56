"""Kafka's client for code without Java (librdkafka): the same KAFKA_OPTION_…; which topics there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from certificates import said_of
from contracts import AccessDeniedError, ConfigurationError, UnavailableError
from sources.kafka_security import for_librdkafka, refused

_UNKNOWN = re.compile("No such configuration property|Java .* not supported")
_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


@dataclass(frozen=True)
class ClientOptions:
    """The options that this client takes (`known`), and the names of those that only Java's has."""

    known: Mapping[str, str]
    left_out: tuple[str, ...]

    def make(self, kind: Callable[[dict[str, Any]], Any], servers: str, ours: Mapping[str, Any]) -> Any:
        """A client of `kind`, with `ours` on top; it connects by itself.

        Raises ConfigurationError when an option has an impossible value.
        """
        try:
            return kind({"bootstrap.servers": servers, **self.known, **ours})
        except KafkaException as error:
            # The message names the option; its value may be secret.
            named = [name for name in self.known if name in str(error)]
            raise ConfigurationError(
                f"This Kafka client cannot work with the KAFKA_OPTION_… given ({', '.join(named) or 'all'}). "
                "Correct them."
            ) from None


@dataclass(frozen=True)
class Topics:
    """How many brokers a cluster has, and the partitions of each topic that this user may see."""

    brokers: int
    partitions: Mapping[str, int]


@dataclass
class _Faults:
    """Keeps the reasons why a connection fails, which the client reports beside its answers."""

    errors: list[KafkaError] = field(default_factory=list)

    def heard(self, error: KafkaError) -> None:
        """Take an error from the client, as its callback."""
        self.errors.append(error)


def client_options(options: Mapping[str, str]) -> ClientOptions:
    """The options of KAFKA_OPTION_…, by Kafka's names, as far as this client has them.

    What is Java's and has another name here is translated, see `sources.kafka_security`.
    """
    given = for_librdkafka(options)
    left_out = tuple(name for name in given if not _is_known(name))
    return ClientOptions({name: value for name, value in given.items() if name not in left_out}, left_out)


def ask_topics(servers: str, options: ClientOptions, seconds: float) -> Topics:
    """What the cluster has. Makes no topic.

    Raises UnavailableError with the reason when no broker answers in time, AccessDeniedError when it refuses
    the user, ConfigurationError when an option has an impossible value.
    """
    faults = _Faults()
    admin = options.make(AdminClient, servers, {"error_cb": faults.heard, "log_level": 0})
    try:
        found = admin.list_topics(timeout=seconds)
    except KafkaException as error:
        admin.poll(0)  # which tells `faults`
        raise _explained(servers, options, [error.args[0], *faults.errors]) from None
    return Topics(len(found.brokers), {name: len(topic.partitions) for name, topic in found.topics.items()})


def _explained(
    servers: str, options: ClientOptions, errors: list[KafkaError]
) -> UnavailableError | AccessDeniedError:
    # The first error only says that no answer came; the callback heard the reason meanwhile.
    reasons = [error for error in errors if error.code() in _REFUSED]
    if reasons:
        is_of_tls = reasons[0].code() == KafkaError._SSL
        return refused(servers, (is_of_tls and _seen(servers, options)) or _text(reasons[0]))
    told = [error for error in errors[1:] if error.code() != KafkaError._ALL_BROKERS_DOWN] or errors
    return UnavailableError(
        f"no Kafka broker answers at KAFKA_BOOTSTRAP_SERVERS={servers} ({_text(told[0])})"
    )


def reason_of(error: KafkaError, servers: str) -> str:
    """What `error` tells a person: without how long it took, so that the same fault is the same text."""
    return str(refused(servers, _text(error))) if error.code() in _REFUSED else _text(error)


def _text(error: KafkaError) -> str:
    return error.str().partition(" (after ")[0]


def _seen(servers: str, options: ClientOptions) -> str:
    """What is wrong with a broker's certificate, which librdkafka does not tell."""
    host, _, port = servers.partition(",")[0].strip().rpartition(":")
    return said_of(host.rpartition("://")[2].strip("[]"), int(port), options.known.get("ssl.ca.location"))


def _is_known(name: str) -> bool:
    try:
        Producer({"log_level": 0, name: ""})
    except KafkaException as error:
        return not _UNKNOWN.search(str(error))
    return True
