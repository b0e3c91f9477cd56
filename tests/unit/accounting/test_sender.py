"""The outbox and its Kafka client: what it is told to be, and what survives answers in any order."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from accounting import producer as producer_module
from accounting.books import Books
from accounting.database import BooksDatabase
from accounting.outbox import SENT, Outbox
from accounting.sender import _Flight
from contracts.stock import Product

AWAY = KafkaError(KafkaError._MSG_TIMED_OUT)


def test_the_client_is_idempotent_and_waits_for_all_replicas_whatever_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With fewer acknowledgements a broker's death loses what was told to be sent."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(producer_module, "Producer", made.update)
    options = {"acks": "1", "enable.idempotence": "false", "message.timeout.ms": "5"}
    producer_module.make_producer("127.0.0.1:9", options, lambda _error: None)
    assert (made["acks"], made["enable.idempotence"], made["message.timeout.ms"]) == ("all", True, 0)


def test_every_connection_to_the_books_survives_a_power_cut(tmp_path: Path) -> None:
    """The accountant is told "saved": SQLite must wait for the disk, of the file and of its log."""
    file = BooksDatabase(tmp_path / "books.db")
    file.prepare()
    with file.read() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    with file.write() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2


class Broker:
    """Takes records in order by key and answers each as `answers` says: taken, or not now."""

    def __init__(self, answers: list[bool]) -> None:
        self.taken: dict[str, list[bytes]] = defaultdict(list)
        self._answers = itertools.chain(answers, itertools.repeat(True))
        self._waiting: list[Callable[[], None]] = []

    def produce(self, _topic: str, value: bytes, key: bytes, on_delivery: Callable[..., None]) -> None:
        """As Kafka's client; without a key records of one product would come in any order."""

        def answer() -> None:
            if next(self._answers):
                self.taken[key.decode()].append(value)
                on_delivery(None, None)
            else:
                on_delivery(AWAY, None)

        self._waiting.append(answer)

    def poll(self, _seconds: float) -> None:
        """Some answers come."""
        some, self._waiting = self._waiting[:3], self._waiting[3:]
        for answer in some:
            answer()


@example(keys=["A", "A"], answers=[False, True], at_once=2)
@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    keys=st.lists(st.sampled_from("ABC"), min_size=1, max_size=12),
    answers=st.lists(st.booleans(), max_size=30),
    at_once=st.integers(1, 6),
)
def test_each_keys_last_word_is_the_last_that_was_entered(
    keys: list[str], answers: list[bool], at_once: int
) -> None:
    """Whatever Kafka refuses for now: all arrive, and a key's records end in the order of their entry."""
    with tempfile.TemporaryDirectory() as folder:
        file = BooksDatabase(Path(folder) / "books.db")
        file.prepare()
        books, outbox, broker = Books(file), Outbox(file), Broker(answers)
        books.save([_product(key, number) for number, key in enumerate(keys)])
        while messages := outbox.waiting(at_once):
            flight = _Flight(outbox, defaultdict(lambda: "topic"), str)
            flight.complete(broker, messages, threading.Event())  # type: ignore[arg-type]
        assert outbox.state().counts[SENT] == len(keys)
        for key in set(keys):
            taken = [json.loads(value)["name"] for value in broker.taken[key]]
            entered = [f"name {number}" for number, each in enumerate(keys) if each == key]
            assert set(taken) == set(entered)
            last = [len(taken) - taken[::-1].index(name) for name in entered]
            assert last == sorted(last)


def _product(key: str, number: int) -> Product:
    return Product(key, f"name {number}", None, 1, 1, 2, None, None, None, "")
