"""What several test modules share: one Spark session a process, and fresh databases on a real server.

script/test runs the tests in several processes at once (pytest-xdist), each with the session fixtures of its
own, in an order that changes with each run. Two rules follow from that for every test:

1. It shares nothing that it changes: databases by `database` or `events_dsn`, folders by `tmp_path`, ports by
   `free_port`, names of topics, users and the like at random; and a server that it kills, stops or configures
   is its own.
2. Tests that share a costly fixture of scope "module" have `pytestmark = pytest.mark.xdist_group("a name")`:
   one process then runs them all, and the fixture is made once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import hypothesis
import pytest
import structlog
from pymongo.database import Database
from pyspark.sql import SparkSession

from commands.checks import machine
from commands.checks.result import ok
from contracts import ConfigurationError
from pipelines.ecommerce.local_server import LocalServer, local_server
from pipelines.engine.kafka_connector import connector_conf
from session import conf_for
from settings import load
from tests.support import wheel
from tests.support.arena import Arena, Topics
from tests.support.class_archive import java_environment
from tests.support.fresh_mongo import fresh_mongo
from tests.support.kafka_servers import JARS, OwnBroker, own_broker
from tests.support.missing import missing
from tests.support.mongo_doors import SecureDoor, is_ours, run_script
from tests.support.postgres_servers import fresh_database
from tests.support.run_hooks import pytest_configure, pytest_unconfigure
from tests.support.small_disk import SmallDisk, mounted
from tests.support.stock_shop import StockTopics
from tests.support.toxiproxy import Proxy, Toxiproxy, host_of, run_toxiproxy

__all__ = ["pytest_configure", "pytest_unconfigure"]

Server = TypeVar("Server")

# How long an example may take depends on the machine; what a test is to find does not.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

# pytest-xdist tells its processes a width of 80; what the tests read is as wide as in a pipe.
os.environ.pop("COLUMNS", None)

# What takes long begins first, so that at the end no process waits for another.
_FIRST = ("chaos", "acceptance", "contract", "integration")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs before single functions; among these the order stays random."""
    folders = {name: place for place, name in enumerate(_FIRST)}
    items.sort(key=lambda item: folders.get(item.path.parent.name, len(folders)))


@pytest.fixture(autouse=True)
def logs_as_at_first() -> Iterator[None]:
    """A level that one test's command line chose must not hide another test's log lines."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def check_without_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `check`, called in a test's own process, start no Java; test_java_start.py asks for it."""
    monkeypatch.setattr(machine, "spark_starts", lambda _start: ok("Spark", "not started in a test"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A local session with two cores; its files lie in a folder of the test run, never in the checkout."""
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    # Workers must have the packages of this interpreter, not of the first python3 on PATH.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    folder = tmp_path_factory.mktemp("spark")
    conf = {
        **conf_for(streaming=False),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
    }
    if os.environ.get("KAFKA_TEST_SERVERS"):
        conf |= connector_conf(load(env_file=None, kafka_connector_path=JARS))
    builder = SparkSession.builder.master("local[2]").appName("tests")
    for key, value in conf.items():
        builder = builder.config(key, value)
    with patch.dict(os.environ, java_environment()):
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


def _address(variable: str, what: str) -> str:
    address = os.environ.get(variable, "")
    if not address:
        missing(f"{variable} is not set: no real {what} (script/test starts one)")
    return address


@contextmanager
def _had(starting: AbstractContextManager[Server]) -> Iterator[Server]:
    """A server of the test's own; missing, it counts like the shared one."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(starting)
        except (ConfigurationError, RuntimeError) as error:
            missing(str(error))
        yield running


@pytest.fixture(scope="session")
def mongo_uri() -> str:
    """The address of the real server; without one the test fails in CI and is skipped elsewhere."""
    return _address("MONGO_TEST_URI", "MongoDB-wire server")


@pytest.fixture(scope="session")
def secure_door(mongo_uri: str) -> SecureDoor:
    """The real server's entrance with users, passwords and TLS; missing, it counts like the server itself."""
    if not is_ours(mongo_uri):
        missing(
            "MONGO_TEST_URI is not the server of script/mongo-server, which can ask for passwords and TLS"
        )
    return SecureDoor(mongo_uri, Path(run_script("secure")))


@pytest.fixture(scope="session")
def limited_door(mongo_uri: str) -> str:
    """The address at which `script/mongo-server grant` says what may be done."""
    if not is_ours(mongo_uri):
        missing("MONGO_TEST_URI is not the server of script/mongo-server, which can check rights")
    return run_script("limited")


@pytest.fixture
def database(mongo_uri: str) -> Iterator[Database[dict[str, Any]]]:
    """An empty database with a random name on the real server, gone after the test; datetimes are aware."""
    with fresh_mongo(mongo_uri) as made:
        yield made


@pytest.fixture(scope="session")
def postgres_dsn() -> str:
    """The address of the real PostgreSQL; without one the test fails in CI and is skipped elsewhere."""
    return _address("POSTGRES_TEST_DSN", "PostgreSQL")


@pytest.fixture
def events_dsn(postgres_dsn: str) -> Iterator[str]:
    """An empty database with a random name on the real PostgreSQL, gone after the test."""
    with fresh_database(postgres_dsn) as dsn:
        yield dsn


@pytest.fixture
def own_postgres() -> Iterator[LocalServer]:
    """A PostgreSQL that this test alone uses and may kill; missing, it counts like the shared one."""
    with _had(local_server()) as running:
        yield running


@pytest.fixture(scope="session")
def kafka() -> str:
    """The address of the real broker; without one the test fails in CI and is skipped elsewhere."""
    return _address("KAFKA_TEST_SERVERS", "Kafka")


@pytest.fixture(scope="session")
def s3_endpoint() -> str:
    """The address of a server with the bucket `lake`; without one the test fails in CI, else is skipped."""
    return _address("S3_TEST_ENDPOINT", "S3 server")


@pytest.fixture
def own_kafka(kafka: str) -> Iterator[OwnBroker]:
    """A broker that this test alone uses and may kill; missing, it counts like the shared one."""
    with _had(own_broker()) as running:
        yield running


@pytest.fixture(scope="session")
def toxiproxy() -> Iterator[Toxiproxy]:
    """A Toxiproxy of this test run; where it cannot be had the test fails in CI and is skipped elsewhere."""
    with _had(run_toxiproxy()) as running:
        yield running


@pytest.fixture
def mongo_proxy(toxiproxy: Toxiproxy, mongo_uri: str) -> Iterator[Proxy]:
    """A door to the real server that this test alone uses and may break; `through` makes the address."""
    proxy = toxiproxy.proxy(host_of(mongo_uri))
    yield proxy
    proxy.close()


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    """A real small file system; only root may mount one."""
    try:
        with mounted(tmp_path_factory.mktemp("disk") / "small") as small:
            yield small
    except PermissionError as error:
        missing(f"this machine lets nobody mount a file system for a test: {error}")


@pytest.fixture(scope="session")
def installed_pulse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command that pip makes of the wheel, in an environment that knows nothing of the checkout."""
    base = tmp_path_factory.getbasetemp()
    # All processes of pytest-xdist share one.
    return wheel.installed_pulse((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pulse")


@pytest.fixture
def topics(kafka: str) -> Iterator[Topics]:
    """Two topics with two partitions each, gone after the test."""
    made = Topics(kafka)
    made.create(made.matches, made.players)
    yield made
    made.remove()


@pytest.fixture
def stock_topics(kafka: str) -> Iterator[StockTopics]:
    """The stock pipeline's three topics, empty."""
    topics = StockTopics(kafka)
    yield topics
    topics.remove()


@pytest.fixture
def arena(tmp_path: Path, topics: Topics, spark: SparkSession) -> Arena:
    """An esports pipeline with folders and topics of its own."""
    return Arena(tmp_path, topics, spark)
