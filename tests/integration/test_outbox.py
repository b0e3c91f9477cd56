"""The accountant's outbox and a real Kafka: what is entered arrives, whatever is killed meanwhile."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from accounting.books import Books
from accounting.database import BooksDatabase
from accounting.messages import CLIENTS, INVENTORY, SALES
from accounting.outbox import FAILED, SENT, WAITING, Outbox
from accounting.producer import make_producer
from contracts import ConfigurationError
from contracts.stock import Product, Sale
from tests.support.kafka_records import arrived
from tests.support.kafka_servers import OwnBroker
from tests.support.outbox import drain, sending
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]
_NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def file(tmp_path: Path) -> BooksDatabase:
    """An empty file."""
    made = BooksDatabase(tmp_path / "books.db")
    made.prepare()
    return made


def _topic_names() -> dict[str, str]:
    suffix = secrets.token_hex(4)
    return {kind: f"{kind}-{suffix}" for kind in (SALES, INVENTORY, CLIENTS)}


def _create(servers: str, names: Mapping[str, str], **config: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    new = [NewTopic(name, 2, 1, config=config) for name in names.values()]
    for future in admin.create_topics(new).values():
        future.result(60)


@contextmanager
def _topics(servers: str, **config: str) -> Iterator[dict[str, str]]:
    """Three topics, gone after the block."""
    names = _topic_names()
    _create(servers, names, **config)
    yield names
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    for future in admin.delete_topics(list(names.values())).values():
        future.exception(60)


def _sale(number: int) -> Sale:
    return Sale(f"I{number}", f"C{number % 7}", _NOW, 100 + number, (("P1", 1),))


def _product(number: int, name: str) -> Product:
    return Product(f"P{number}", name, None, 3, 110, 290, None, None, None, order="")


def test_what_is_entered_arrives_once_and_in_order(kafka: str, file: BooksDatabase) -> None:
    """Without a fault nothing comes twice; changes of one product keep their order; history goes again."""
    books = Books(file)
    with _topics(kafka) as topics, sending(file, kafka, topics):
        books.save([_product(number % 3, f"name {number}") for number in range(60)])
        books.save([_sale(number) for number in range(600)])
        drain(file)
        sales = arrived(kafka, topics["sales"])
        assert sorted(key for key, _ in sales) == sorted(f"I{number}" for number in range(600))
        assert all(key == event["invoice_id"] for key, event in sales)
        names = defaultdict(list)
        for key, event in arrived(kafka, topics["inventory"]):
            names[key].append(event["name"])
        assert names == {f"P{n}": [f"name {number}" for number in range(n, 60, 3)] for n in range(3)}
        assert Outbox(file).resend(None, None) == 660
        drain(file)
        again = arrived(kafka, topics["sales"])
        assert len(again) == 1200
        assert {json.dumps(event) for _, event in again} == {json.dumps(event) for _, event in sales}


def test_a_record_that_kafka_refuses_holds_nothing_up(kafka: str, file: BooksDatabase) -> None:
    """It is failed with the reason, the others are sent; tried again after the remedy it goes, too."""
    books = Books(file)
    large = Sale("large", "C1", _NOW, 1, tuple((f"{'P' * 90}{n}", 1) for n in range(400)))
    with _topics(kafka, **{"max.message.bytes": "20000"}) as topics:
        with sending(file, kafka, topics):
            books.save([_sale(1), large, _sale(2)])
            drain(file)
            state = Outbox(file).state()
            assert state.counts == {WAITING: 0, SENT: 2, FAILED: 1}
            assert state.letters[0].key == "large"
            assert "too large" in (state.letters[0].reason or "")
        Outbox(file).retry_failed()
        with _topics(kafka) as roomy, sending(file, kafka, roomy):
            drain(file)
            assert [key for key, _ in arrived(kafka, roomy["sales"])] == ["large"]


def test_a_missing_topic_is_told_and_waited_for(kafka: str, file: BooksDatabase) -> None:
    """People read which one; as soon as it exists everything is sent, and the fault is gone."""
    topics = _topic_names()
    Books(file).save([_sale(1)])
    with sending(file, kafka, topics):
        wait_for(lambda: topics["sales"] in (Outbox(file).state().fault or ""), "the fault to be told")
        assert Outbox(file).state().counts[WAITING] == 1
        _create(kafka, topics)
        drain(file)
    assert Outbox(file).state().fault is None
    AdminClient({"bootstrap.servers": kafka, "log_level": 0}).delete_topics(list(topics.values()))


def test_two_processes_send_in_turn(kafka: str, file: BooksDatabase) -> None:
    """Of several senders on one file one sends: nothing comes twice."""
    with _topics(kafka) as topics, sending(file, kafka, topics), sending(file, kafka, topics):
        for number in range(100):
            Books(file).save([_sale(number)])
        drain(file)
        assert len(arrived(kafka, topics["sales"])) == 100


def test_options_of_kafka_pass_through() -> None:
    """Java's login module gives user and password; an impossible value is told by name, without the value."""
    login = (
        'org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="hunter2";'
    )
    options = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.jaas.config": login,
        "ssl.truststore.location": "/nowhere",
    }
    make_producer("127.0.0.1:1", options, lambda _: None)
    with pytest.raises(ConfigurationError, match=r"security\.protocol") as caught:
        make_producer("127.0.0.1:1", {**options, "security.protocol": "hunter2"}, lambda _: None)
    assert "hunter2" not in str(caught.value)


@contextmanager
def _sender_process(
    file: BooksDatabase, servers: str, topics: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    script = f"""
        import threading
        from functools import partial
        from pathlib import Path
        from accounting.database import BooksDatabase
        from accounting.outbox import Outbox
        from accounting.producer import make_producer
        from accounting.sender import OutboxSender
        path = Path({str(file.path)!r})
        producer = partial(make_producer, {servers!r}, {{}})
        outbox, lock = Outbox(BooksDatabase(path)), path.with_suffix(".lock")
        sender = OutboxSender(outbox, lock, producer, {dict(topics)!r}, "x")
        sender.run(threading.Event())
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_nothing_is_lost_when_broker_and_sender_are_killed(own_kafka: OwnBroker, file: BooksDatabase) -> None:
    """kill -9 of both while sales are entered, a hundred of them without a broker: each arrives.

    At least once, with equal content whenever it comes again, so that its number counts it once; changes of a
    product end with the last one.
    """
    books, servers, topics = Books(file), own_kafka.servers, _topic_names()
    _create(servers, topics)
    with _sender_process(file, servers, topics):
        for number in range(150):
            books.save([_sale(number), _product(number % 3, f"name {number}")])
        wait_for(lambda: Outbox(file).state().counts[SENT] > 0, "something to be sent")
    # The sender is dead, with some of it acknowledged and some not.
    with _sender_process(file, servers, topics):
        books.save([_sale(number) for number in range(150, 1150)])
        own_kafka.run("kill")
        for number in range(1150, 1250):
            books.save([_sale(number), _product(number % 3, f"name {number}")])
        wait_for(lambda: Outbox(file).state().fault, "the news that the broker is away")
        assert Outbox(file).state().counts[WAITING] >= 200
        own_kafka.run("start")
        drain(file)
    sales = arrived(servers, topics["sales"])
    assert {key for key, _ in sales} == {f"I{number}" for number in range(1250)}
    assert len({json.dumps(event) for _, event in sales}) == 1250
    last = dict(arrived(servers, topics["inventory"]))
    assert {key: event["name"] for key, event in last.items()} == {
        f"P{number % 3}": f"name {number}" for number in range(1247, 1250)
    }
    assert Outbox(file).state().fault is None
