"""A real broker with TLS and passwords: the stream, the outbox and `check` get in by one set of options.

Who does not is told why in one line, by the name of the setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from pyspark.sql import SparkSession

from accounting import sender
from accounting.books import Books
from accounting.database import BooksDatabase
from accounting.messages import CLIENTS, INVENTORY, SALES
from accounting.outbox import Outbox
from commands.checks import kafka as checks
from contracts import AccessDeniedError
from contracts.stock import Client
from pipelines.engine.kafka_connector import wait_for_broker
from settings import Settings, load
from sources.kafka_broker import KafkaBroker
from sources.kafka_client import client_options
from sources.kafka_stream import read_topics
from tests.support.kafka_records import arrived
from tests.support.missing import missing
from tests.support.outbox import drain, sending
from tests.support.secure_kafka import PASSWORD, SCRAM, SecureKafka, jaas, secure_kafka
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("secure kafka")

_TOPICS = {SALES: "sales", INVENTORY: "inventory", CLIENTS: "clients"}


@pytest.fixture(scope="module")
def secure(kafka: str) -> Iterator[SecureKafka]:
    """A broker of this module with the outbox' topics."""
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(secure_kafka())
        except RuntimeError as error:
            missing(str(error))
        admin = AdminClient({"bootstrap.servers": broker.plain, "log_level": 0})
        for future in admin.create_topics([NewTopic(name, 2, 1) for name in _TOPICS.values()]).values():
            future.result(60)
        yield broker


def _settings(servers: str, options: Mapping[str, str]) -> Settings:
    return load(env_file=None, kafka_bootstrap_servers=servers, kafka_options=options)


def _file(folder: Path) -> BooksDatabase:
    file = BooksDatabase(folder / "books.db")
    file.prepare()
    Books(file).save([Client("C1", "Shop", None, None, 0, "")])
    return file


@pytest.mark.parametrize("login", ["PLAIN", SCRAM, "jaas"])
def test_stream_outbox_and_check_get_in_by_the_same_options(
    secure: SecureKafka, login: str, tmp_path: Path, spark: SparkSession
) -> None:
    """User and password by name or as a login of JAAS, the authority as PEM: both clients take them."""
    options = secure.options("PLAIN" if login == "jaas" else login)
    if login == "jaas":
        del options["sasl.username"], options["sasl.password"]
        options["sasl.jaas.config"] = jaas(PASSWORD)
    assert client_options(options).left_out == ()
    before = len(arrived(secure.plain, "clients"))
    file = _file(tmp_path)
    with sending(file, secure.servers, _TOPICS, **options):
        drain(file)
    result = checks.reachable(_settings(secure.servers, options), [])
    assert (result.status, result.remedy) == ("ok", "")
    broker = KafkaBroker(spark, secure.servers, options)
    wait_for_broker(broker, _settings(secure.servers, options))
    assert broker.partitions(["clients"]) == [("clients", 0), ("clients", 1)]
    broker.close()
    assert _read(spark, secure.servers, options, tmp_path) == before + 1


def test_a_client_s_certificate_lets_both_clients_in(secure: SecureKafka, spark: SparkSession) -> None:
    """Key and certificate as one PEM; without them both are refused."""
    options = secure.options_of_mutual()
    assert checks.reachable(_settings(secure.mutual, options), []).status == "ok"
    without = {name: value for name, value in options.items() if "keystore" not in name}
    assert checks.reachable(_settings(secure.mutual, without), []).status == "failed"
    for given, gets_in in ((options, True), (without, False)):
        broker = KafkaBroker(spark, secure.mutual, given)
        with nullcontext() if gets_in else pytest.raises(AccessDeniedError, match="KAFKA_OPTION_"):
            wait_for_broker(broker, _settings(secure.mutual, given))
        broker.close()


def _read(spark: SparkSession, servers: str, options: Mapping[str, str], folder: Path) -> int:
    counts: list[int] = []
    frame = read_topics(spark, servers, options, ["clients"], 100, "earliest")
    query = (
        frame.writeStream.foreachBatch(lambda batch, _: counts.append(batch.count()))
        .trigger(availableNow=True)
        .option("checkpointLocation", str(folder / "checkpoint"))
        .start()
    )
    query.awaitTermination()
    return sum(counts)


_FAULTS: list[tuple[str, dict[str, str], str, str]] = [
    ("servers", {"sasl.password": "wr0ng-p@ss"}, "refused user or password", "KAFKA_OPTION_SASL_JAAS_CONFIG"),
    (
        "servers",
        {"ssl.truststore.location": "stranger"},
        "authority that is not known",
        "SSL_TRUSTSTORE_LOCATION",
    ),
    ("expired", {}, "has expired", "KAFKA_BOOTSTRAP_SERVERS"),
    ("127.0.0.1", {}, "of another name", "KAFKA_BOOTSTRAP_SERVERS"),
]


@pytest.mark.parametrize(("where", "change", "why", "setting"), _FAULTS)
def test_who_is_refused_or_does_not_trust_is_told_why_in_one_line(
    secure: SecureKafka,
    where: str,
    change: dict[str, str],
    why: str,
    setting: str,
    tmp_path: Path,
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once, by the setting, without a secret, and the same from every client."""
    monkeypatch.setattr(checks, "_ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(sender, "_SILENCE_SECONDS", 0.5)
    options = {**secure.options(), **change}
    if change.get("ssl.truststore.location"):
        options["ssl.truststore.location"] = str(secure.certificates.stranger)
    servers = secure.expired if where == "expired" else secure.servers
    servers = servers.replace("localhost", where) if where == "127.0.0.1" else servers
    told = [_of_the_stream(spark, servers, options), _of_check(servers, options)]
    for line in told:
        assert why in line
        assert setting in line
        assert "\n" not in line
        assert not any(secret in line for secret in (PASSWORD, "wr0ng-p@ss"))
    # librdkafka does not say what is wrong with a certificate: all of it that may be.
    fault = _of_the_outbox(servers, options, _file(tmp_path), why)
    assert (setting in fault, "Nothing is lost" in fault) == (True, True)


def _of_the_stream(spark: SparkSession, servers: str, options: Mapping[str, str]) -> str:
    broker = KafkaBroker(spark, servers, options)
    try:
        with pytest.raises(AccessDeniedError) as raised:
            wait_for_broker(broker, _settings(servers, options))
    finally:
        broker.close()
    return str(raised.value)


def _of_check(servers: str, options: Mapping[str, str]) -> str:
    result = checks.reachable(_settings(servers, options), [])
    assert result.status == "failed"
    return f"{result.detail} {result.remedy}"


def _of_the_outbox(servers: str, options: dict[str, str], file: BooksDatabase, why: str) -> str:
    def fault() -> str:
        return Outbox(file).state().fault or ""

    with sending(file, servers, _TOPICS, **options):
        wait_for(lambda: why in fault(), lambda: f"the outbox to tell why it waits: {fault()}")
        # The end of the sender forgets it.
        return fault()
