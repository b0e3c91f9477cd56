"""Asks a Kafka cluster about its topics, through the client that Spark's connector brings.

That client takes the same options as the stream, for every kind of security.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.sql import SparkSession

from contracts import ConfigurationError, UnavailableError
from detached import look_up
from sources.kafka_security import for_java, refused

_ANSWER_MS = 5_000
_MISSING = "UnknownTopicOrPartitionException"
_CONNECTIONS = "org.apache.kafka.clients.NetworkClient"
_REFUSED = ("Authentication", "Authorization")
_REQUEST, _CALL = "request.timeout.ms", "default.api.timeout.ms"
# What a batch waits for Kafka within one call; a KAFKA_OPTION_… may be shorter, neither longer nor endless.
LONGEST_MS = 60_000
_BOUNDED = (
    _REQUEST,
    _CALL,
    "socket.connection.setup.timeout.ms",
    "socket.connection.setup.timeout.max.ms",
    "reconnect.backoff.max.ms",
)
ISOLATION = "isolation.level"
# What an aborted transaction wrote never happened.
COMMITTED = "read_committed"
# What brokers say of every topic when they know no ids (before 2.8, and some that only speak like Kafka).
NO_ID = "A" * 22

# Topic and partition.
Place = tuple[str, int]


class KafkaBroker:
    """Asks with a time limit of a few seconds each; usable from several threads.

    Every method raises UnavailableError when no broker answers, AccessDeniedError when it refuses.
    """

    def __init__(self, spark: SparkSession, servers: str, options: Mapping[str, str]) -> None:
        """Raises ConfigurationError that names KAFKA_BOOTSTRAP_SERVERS when they can be no address."""
        self._servers = servers
        known = known_servers(servers)
        jvm: Any = spark._jvm
        # Looked up once: each part of a class's name is a question to Java, and a batch asks twice.
        self._list, self._map = jvm.java.util.ArrayList, jvm.java.util.HashMap
        self._milliseconds = jvm.java.util.concurrent.TimeUnit.MILLISECONDS
        self._partition = jvm.org.apache.kafka.common.TopicPartition
        self._earliest = jvm.org.apache.kafka.clients.admin.OffsetSpec.earliest()
        self._latest = jvm.org.apache.kafka.clients.admin.OffsetSpec.latest()
        self._seconds = jvm.java.time.Duration.ofSeconds
        self._reading = jvm.org.apache.kafka.clients.admin.ListOffsetsOptions(_isolation(jvm, options))
        self._known: dict[Place, Any] = {}
        # Why a connection fails is told in our words.
        level = jvm.org.apache.logging.log4j.Level.OFF
        jvm.org.apache.logging.log4j.core.config.Configurator.setLevel(_CONNECTIONS, level)
        properties = jvm.java.util.Properties()
        # Whatever the options say: every question is to be answered in a few seconds.
        given = {
            **for_java(options),
            _REQUEST: str(_ANSWER_MS // 2),
            _CALL: str(_ANSWER_MS),
            "bootstrap.servers": known,
        }
        for name, value in given.items():
            properties.setProperty(name, value)
        try:
            self._admin: Any = jvm.org.apache.kafka.clients.admin.AdminClient.create(properties)
        except Py4JJavaError as error:
            raise ConfigurationError(
                f"Kafka's client cannot work with KAFKA_BOOTSTRAP_SERVERS={servers} and the KAFKA_OPTION_… "
                f"given: {_causes(error)[-1][1]}. Correct them."
            ) from None

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """What tells each topic from an earlier one of the same name; NO_ID from brokers before 2.8.

        Topics that do not exist are left out.
        """
        return {topic: str(found.topicId()) for topic, found in self._describe(topics).items()}

    def partitions(self, topics: Iterable[str]) -> list[Place]:
        """Those of the topics that exist."""
        return [
            (topic, info.partition())
            for topic, found in self._describe(topics).items()
            for info in found.partitions()
        ]

    def earliest(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offset that is still there; empty when one of the partitions does not exist."""
        return self._offsets(places, self._earliest)

    def latest(self, places: Iterable[Place]) -> dict[Place, int]:
        """The offset after the last record that a reader gets now: of an open transaction it gets none."""
        return self._offsets(places, self._latest)

    def ping(self) -> None:
        """Raises UnavailableError when no broker answers."""
        self._answer(self._admin.describeCluster().nodes())

    def close(self) -> None:
        """Let the connections go."""
        self._admin.close(self._seconds(1))

    def _describe(self, topics: Iterable[str]) -> dict[str, Any]:
        wanted, names = dict.fromkeys(topics), self._list()
        for topic in wanted:
            names.add(topic)
        futures = self._admin.describeTopics(names).topicNameValues()
        found = {topic: self._answer(futures.get(topic)) for topic in wanted}
        return {topic: description for topic, description in found.items() if description is not None}

    def _offsets(self, places: Iterable[Place], which: Any) -> dict[Place, int]:
        wanted, question = {place: self._place(place) for place in places}, self._map()
        if not wanted:
            return {}
        for asked in wanted.values():
            question.put(asked, which)
        found = self._answer(self._admin.listOffsets(question, self._reading).all())
        return {} if found is None else {place: found.get(one).offset() for place, one in wanted.items()}

    def _place(self, place: Place) -> Any:
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = self._partition(*place)
        return known

    def _answer(self, future: Any) -> Any:
        """What the future holds; None when there is no such topic."""
        try:
            return future.get(_ANSWER_MS, self._milliseconds)
        except Py4JJavaError as error:
            causes = _causes(error)
            names = [name for name, _ in causes]
            if any(name.endswith(_MISSING) for name in names):
                return None
            if any(word in name for name in names for word in _REFUSED):
                raise refused(self._servers, " ".join(text for _, text in causes)) from None
            raise UnavailableError(
                f"No Kafka broker answers at KAFKA_BOOTSTRAP_SERVERS={self._servers} "
                f"({names[-1].rpartition('.')[2]}); nothing was lost."
            ) from None


def known_servers(servers: str) -> str:
    """Returns `servers` without those whose names are not looked up in a few seconds: Java waits for each.

    Raises ConfigurationError when that is so of all. What is wrong in another way is left for Java to tell.
    """
    listed = servers.split(",")
    names = [each.rpartition("://")[2].rpartition(":")[0].strip(" []") for each in listed]
    found = look_up(names, _ANSWER_MS / 1000)
    known = [each for each, of in zip(listed, found, strict=True) if not isinstance(of, TimeoutError)]
    if not known:
        raise ConfigurationError(
            f"The servers of KAFKA_BOOTSTRAP_SERVERS={servers} could not be looked up ({found[0]}). Correct "
            "the names, or let this machine reach a DNS server that knows them."
        )
    return ",".join(known)


def bounded_options(options: Mapping[str, str]) -> dict[str, str]:
    """Returns Kafka's `options` with time-outs of at most LONGEST_MS; one that is no positive number is none.

    Java's clients refuse one call that is shorter than one request, so that is shortened with it.
    """
    bounds = {
        name: str(min(int(value), LONGEST_MS))
        for name in _BOUNDED
        if (value := options.get(name, "").strip()).isdecimal() and int(value)
    }
    if _CALL in bounds:
        bounds[_REQUEST] = str(min(int(bounds[_CALL]), int(bounds.get(_REQUEST, LONGEST_MS // 2))))
    return {name: value for name, value in options.items() if name not in _BOUNDED} | bounds


def _isolation(jvm: Any, options: Mapping[str, str]) -> Any:
    level = options.get(ISOLATION, COMMITTED)
    try:
        return jvm.org.apache.kafka.common.IsolationLevel.valueOf(level.upper())
    except Py4JJavaError:
        raise ConfigurationError(
            f"KAFKA_OPTION_ISOLATION_LEVEL={level} is neither read_committed nor read_uncommitted."
        ) from None


def _causes(error: Py4JJavaError) -> list[tuple[str, str]]:
    """Class and message of the Java exception and of its causes, the innermost last."""
    found: list[tuple[str, str]] = []
    cause: Any = error.java_exception
    try:
        while cause is not None:
            found.append((str(cause.getClass().getName()), str(cause.getMessage())))
            cause = cause.getCause()
    except Py4JError:
        found.append((type(error).__name__, ""))
    return found
