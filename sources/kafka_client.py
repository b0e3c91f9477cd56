"""Kafka's client for code without Java (librdkafka): the same KAFKA_OPTION_…; which topics there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from contracts import AccessDeniedError, ConfigurationError, UnavailableError

_LOGIN = "sasl.jaas.config"
_JAAS = re.compile(r"""\b(username|password)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_UNKNOWN = re.compile("No such configuration property|Java .* not supported")
_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,
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

    User and password of `sasl.jaas.config`, which is Java's, become its own.
    """
    found = _JAAS.findall(options.get(_LOGIN, ""))
    known = {f"sasl.{name}": one or other for name, one, other in found}
    given = {name: value for name, value in options.items() if not (name == _LOGIN and found)}
    left_out = tuple(name for name in given if not _is_known(name))
    known |= {name: value for name, value in given.items() if name not in left_out}
    return ClientOptions(known, left_out)


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
        raise _explained(servers, [error.args[0], *faults.errors]) from None
    return Topics(len(found.brokers), {name: len(topic.partitions) for name, topic in found.topics.items()})


def _explained(servers: str, errors: list[KafkaError]) -> UnavailableError | AccessDeniedError:
    # The first error only says that no answer came; the callback heard the reason meanwhile.
    reasons = [error for error in errors if error.code() in _REFUSED]
    if reasons:
        return AccessDeniedError(f"Kafka at {servers} refused this client: {reasons[0].str()}.")
    told = [error for error in errors[1:] if error.code() != KafkaError._ALL_BROKERS_DOWN] or errors
    reason = told[0].str().partition(" (after ")[0]
    return UnavailableError(f"no Kafka broker answers at KAFKA_BOOTSTRAP_SERVERS={servers} ({reason})")


def _is_known(name: str) -> bool:
    try:
        Producer({name: ""})
    except KafkaException as error:
        return not _UNKNOWN.search(str(error))
    return True
