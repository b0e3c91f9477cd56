"""Kafka topics as the input of a query over all its starts: what is read, what was lost, what still waits.

A topic that was deleted and made anew is read from its beginning, although the query's checkpoint is kept:
the checkpoint knows the topic's id.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from checkpoint.known_topics import Known, KnownTopics
from contracts import ServiceError, UnavailableError
from monitoring.logs import get_logger
from pipelines.engine.supervisor import StartAnewError
from pipelines.engine.topics import Reading
from settings import Settings
from sources.kafka_broker import NO_ID, KafkaBroker
from sources.kafka_direct import is_beyond_spark, read_span
from sources.kafka_stream import (
    Offsets,
    Span,
    batch_span,
    count,
    expired,
    lost_offsets,
    position,
    read_topics,
    starting_offsets,
    usable,
)

logger = get_logger(__name__)

# Between a topic's id and the number that we give where the broker has no ids.
_NUMBERED = "#"


@dataclass(frozen=True)
class KafkaInput:
    """Topics on Kafka; `checkpoint` is the query's folder.

    `ids_read` gives the ids that the sink has records of, for a checkpoint without ids; `explain` is the
    sentence about missing topics.
    """

    spark: SparkSession
    settings: Settings
    broker: KafkaBroker
    checkpoint: Path
    topics: Sequence[str]
    at_most: int
    ids_read: Callable[[str], set[str]]
    explain: Callable[[str], str]
    _beyond: set[str] = field(default_factory=set)
    # The bound of `fewer`; one that was not met yet is the last of two.
    _bounds: list[int] = field(default_factory=list)

    def missing(self) -> str | None:
        """One sentence that names the topics that do not exist, with the remedy; None when all do."""
        return self._explained(self.broker.topic_ids(self.topics))

    def frame(self) -> DataFrame:
        """One stream over all of them, each from where it was left, or from its beginning if it is new."""
        if missing := self.missing():
            raise UnavailableError(f"{missing} It is looked for again and again.")
        known = self._know()
        if len(self._bounds) > 1:
            # Spark would go on with the plan that it has noted.
            known = Known(known.ids, self._position(known))
            KnownTopics(self.checkpoint).begin_anew(known)
            del self._bounds[:-1]
        places = self.broker.partitions(self.topics)
        servers, options = self.settings.kafka_bootstrap_servers, self.settings.kafka_options
        starting: str = self.settings.kafka_starting_offsets
        if known.start is not None:
            starting = starting_offsets(places, known.start)
        at_most = min([self.at_most, *self._bounds])
        return read_topics(self.spark, servers, options, self.topics, at_most, starting)

    def open(self, frame: DataFrame, number: int) -> Reading:
        """The batch, and what of it has expired already."""
        span = batch_span(self.checkpoint, number, self.topics)
        known = KnownTopics(self.checkpoint).load()
        if known is None:
            raise StartAnewError(f"{self.checkpoint} has lost what it knows of its topics")
        gone = expired(span, self.broker.earliest(span))
        if self._beyond:
            return Reading(span, known.ids, self._read_directly(span), gone)
        return Reading(span, known.ids, usable(frame), gone, partial(self._read_otherwise, span))

    def _read_directly(self, span: Span) -> DataFrame:
        servers, options = self.settings.kafka_bootstrap_servers, self.settings.kafka_options
        found, is_beyond = read_span(self.spark, servers, options, span)
        # Where one such record is there will be more, and Spark tells of each in pages.
        (self._beyond.update if is_beyond else self._beyond.difference_update)(self.topics)
        return found

    def _read_otherwise(self, span: Span, error: Exception) -> DataFrame:
        if not is_beyond_spark(error):
            raise error
        logger.warning(
            "🕰️  A record's time in Kafka is beyond what Spark can read (nanoseconds, perhaps). As long as "
            "such records come they are read without Spark's connector, which is slower: mend the producer."
        )
        return self._read_directly(span)

    def fewer(self, records: int) -> None:
        """Raises StartAnewError; until the process ends no batch has more."""
        self._bounds[:] = [self.at_most, records]
        logger.warning(
            f"🐘 Records of {', '.join(self.topics)} are large: a batch has at most {records} from now on"
        )
        raise StartAnewError("the batch is planned anew, in pieces")

    def verify(self, reading: Reading) -> None:
        """A topic's id never comes back: if it is as before, all was read from the same topic."""
        there = self.broker.topic_ids(self.topics)
        if missing := self._explained(there):
            raise ServiceError(f"{missing} It was there before; the batch comes again.")
        if any(after < first for first, after in reading.span.values()):
            there = self._numbered(there, reading.ids, {p: first for p, (first, _) in reading.span.items()})
        if _changed(reading.ids, there):
            raise StartAnewError("a topic was made anew while it was read")

    def lost(self, reading: Reading, records: int, read_expired: int) -> int:
        """Kafka is asked only when there are fewer records than offsets, as after every transaction."""
        if records == count(reading.span):
            return 0
        now = expired(reading.span, self.broker.earliest(reading.span))
        return lost_offsets(reading.span, reading.expired, now, records, read_expired)

    def waiting(self) -> int:
        """Kafka's end offsets minus what Spark has noted as done."""
        known, there = KnownTopics(self.checkpoint).load(), self.broker.topic_ids(self.topics)
        if known and _changed(known.ids, there):
            raise StartAnewError("a topic was made anew")
        places = self.broker.partitions(there)
        done = self._position(known)
        earliest, latest = self.broker.earliest(places), self.broker.latest(places)
        return sum(
            max(0, end - max(earliest.get(place, 0), done.get(place, 0))) for place, end in latest.items()
        )

    def ping(self) -> None:
        """Raises UnavailableError when no broker answers."""
        self.broker.ping()

    def _explained(self, there: Container[str]) -> str | None:
        missing = [topic for topic in self.topics if topic not in there]
        return self.explain(" and ".join(missing)) if missing else None

    def _position(self, known: Known | None) -> Offsets:
        return position(self.checkpoint, self.topics) or (known and known.start) or {}

    def _know(self) -> Known:
        """What the checkpoint knows of the topics, after it was brought up to date with the broker."""
        store = KnownTopics(self.checkpoint)
        known = store.load()
        there = self.broker.topic_ids(self.topics)
        done = self._position(known)
        ids = known.ids if known else {topic: self._assumed(topic, there[topic]) for topic in there if done}
        there = self._numbered(there, ids, done)
        if NO_ID in {one.partition(_NUMBERED)[0] for one in there.values()}:
            logger.warning(
                "⚠️  This Kafka gives its topics no ids: one that is deleted and made anew is recognised only "
                "when it is shorter than what was read of the last one."
            )
        now = {topic: there[topic] for topic in self.topics}
        changed = _changed(ids, now)
        if changed:
            for topic in changed:
                logger.warning(
                    f"🆕 The topic {topic} was deleted and made anew: the new one is read from its beginning"
                )
            kept = {place: offset for place, offset in done.items() if place[0] not in changed}
            found = Known(now, kept)
            store.begin_anew(found)
        else:
            found = Known(now, known.start if known else None)
            if found != known:
                store.save(found)
        return found

    def _assumed(self, topic: str, there: str) -> str:
        """The id of the topic that a checkpoint without ids belongs to, by the ids that the sink knows."""
        read = self.ids_read(topic)
        if there == NO_ID:
            return max(read, key=_number, default=NO_ID)
        return there if there in read or not read else min(read)

    def _numbered(self, there: Mapping[str, str], known: Mapping[str, str], done: Offsets) -> dict[str, str]:
        """Where the broker has no ids: our own number, which rises when a log is shorter than was read."""
        without = [topic for topic, topic_id in there.items() if topic_id == NO_ID and topic in known]
        ends = self.broker.latest(self.broker.partitions(without)) if without else {}
        found = dict(there)
        for topic in without:
            shorter = any(ends.get(place, 0) < offset for place, offset in done.items() if place[0] == topic)
            number = _number(known[topic]) + 1
            found[topic] = f"{NO_ID}{_NUMBERED}{number}" if shorter else known[topic]
        return found


def _number(topic_id: str) -> int:
    return int(topic_id.partition(_NUMBERED)[2] or 0)


def _changed(known: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """The topics that are no longer those that were known."""
    return [
        topic for topic, topic_id in there.items() if topic in known and _is_other(known[topic], topic_id)
    ]


def _is_other(known: str, there: str) -> bool:
    if there == NO_ID or (known.startswith(NO_ID) and _NUMBERED not in there):
        # A broker that has just learnt to give ids, or forgotten it, says nothing about the topic.
        return False
    return known != there
