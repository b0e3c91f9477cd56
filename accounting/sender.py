"""Sends the waiting rows of the outbox to Kafka, in the order in which they were entered.

At least once: a row is marked as sent only after the broker has acknowledged it, so a crash between the two
sends it again. Each message has a key by which a reader counts it once (the invoice's id).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from filelock import FileLock, Timeout

from accounting.database import BooksError
from accounting.outbox import Message, Outbox
from contracts import ConfigurationError
from monitoring.logs import get_logger
from sources.kafka_client import reason_of

logger = get_logger(__name__)

_AT_ONCE: Final = 500
_LOOK_SECONDS: Final = 0.5
_RETRY_SECONDS: Final = 5.0
# After this time without an acknowledgement the page says so.
_SILENCE_SECONDS: Final = 5.0
# The record itself is refused, and would be for ever; everything else may pass.
_ITS_OWN_FAULT: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
    }
)
MakeProducer = Callable[[Callable[[KafkaError], None]], Producer]


class OutboxSender:
    """Sends from a file while it holds `lock`; other processes wait their turn."""

    def __init__(
        self, outbox: Outbox, lock: Path, make_producer: MakeProducer, topics: Mapping[str, str], servers: str
    ) -> None:
        """Send to `topics`, by kind; `servers` is only named in messages for people."""
        self._outbox = outbox
        self._lock = FileLock(str(lock), timeout=0, mode=0o600)
        self._make_producer = make_producer
        self._topics = topics
        self._servers = servers
        self._last_error = ""

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; note every fault and try again."""
        while not stop.is_set():
            self._try(stop)
            stop.wait(_RETRY_SECONDS)

    def _try(self, stop: threading.Event) -> None:
        try:
            with self._lock:
                self._send(stop)
        except Timeout:
            # Another process sends.
            return
        except ConfigurationError as error:
            logger.warning(f"📮 The outbox pauses: {error}")
            self._note(str(error))
        except (BooksError, KafkaException) as error:
            logger.warning(f"📮 The outbox pauses: {error}")
        except Exception:
            logger.exception("📮 The outbox pauses after an unexpected error")

    def _send(self, stop: threading.Event) -> None:
        producer = self._make_producer(self._heard)
        try:
            while not stop.is_set():
                messages = self._outbox.waiting(_AT_ONCE)
                if not messages:
                    producer.poll(0)
                    stop.wait(_LOOK_SECONDS)
                    continue
                flight = _Flight(self._outbox, self._topics, self._fault)
                if not flight.complete(producer, messages, stop):
                    # What Kafka would not take now waits a little before it is tried again.
                    stop.wait(_RETRY_SECONDS)
                if flight.is_fatal:
                    return
        finally:
            producer.purge()
            producer.poll(0)

    def _heard(self, error: KafkaError) -> None:
        # That all brokers are down comes behind the reason why.
        if not self._last_error or error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._last_error = reason_of(error, self._servers)

    def _fault(self, reason: str | None) -> str:
        """Returns the sentence for people; `reason` is the broker's own, None when it does not answer."""
        cause = reason or self._last_error or "no acknowledgement"
        return (
            f"Kafka at KAFKA_BOOTSTRAP_SERVERS={self._servers} does not take the messages ({cause}). Nothing "
            "is lost: they wait here and are sent as soon as it does."
        )

    def _note(self, fault: str) -> None:
        try:
            self._outbox.settle((), {}, fault)
        except BooksError as error:
            logger.warning(f"📮 {error}")


class _Flight:
    """Some messages on their way, with the answer to each."""

    def __init__(
        self, outbox: Outbox, topics: Mapping[str, str], describe: Callable[[str | None], str]
    ) -> None:
        self.is_fatal = False
        self._outbox = outbox
        self._topics = topics
        self._describe = describe
        self._open: set[int] = set()
        self._sent: list[int] = []
        self._failed: dict[int, str] = {}
        # Keys of which an earlier message is to be sent again: later ones follow it once more.
        self._held: set[tuple[str, str]] = set()
        self._reason: str | None = None
        self._heard_at = time.monotonic()

    def complete(self, producer: Producer, messages: list[Message], stop: threading.Event) -> bool:
        """Send `messages` and note the answers; False when some could not be sent now."""
        for message in messages:
            self._open.add(message.number)
            self._produce(producer, message)
        while self._open and not stop.is_set() and not self.is_fatal:
            producer.poll(_LOOK_SECONDS)
            is_silent = time.monotonic() - self._heard_at > _SILENCE_SECONDS
            if self._sent or self._failed or is_silent:
                self._settle(self._describe(None) if is_silent else None)
        self._settle(self._describe(self._reason) if self._reason else None)
        return self._reason is None

    def _produce(self, producer: Producer, message: Message) -> None:
        done = partial(self._answered, message)
        try:
            producer.produce(
                self._topics[message.kind],
                message.payload.encode(),
                key=message.key.encode(),
                on_delivery=done,
            )
        except KafkaException as error:
            done(error.args[0], None)

    def _answered(self, message: Message, error: KafkaError | None, _record: Any) -> None:
        key = (message.kind, message.key)
        self._open.discard(message.number)
        if error is None:
            self._heard_at = time.monotonic()
            if key not in self._held:
                self._sent.append(message.number)
        elif error.code() in _ITS_OWN_FAULT:
            self._failed[message.number] = f"Kafka refuses it: {error.str()}."
        else:
            self._held.add(key)
            self._reason = f"{self._topics[message.kind]}: {error.str()}"
            self.is_fatal = self.is_fatal or error.fatal()

    def _settle(self, fault: str | None) -> None:
        sent, failed = self._sent, self._failed
        self._sent, self._failed = [], {}
        self._outbox.settle(sent, failed, fault)
