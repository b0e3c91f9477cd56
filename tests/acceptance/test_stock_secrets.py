"""The stock pipeline and its commands leave no secret behind; how the search works: test_secrets.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from analytics.stock.rules import SALES
from tests.support.canaries import canary, leaks
from tests.support.job import Job
from tests.support.mongo_doors import PASSWORD, SecureDoor
from tests.support.stock_events import product, sale
from tests.support.stock_shop import StockTopics

_LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="app" password="{}";'


@pytest.fixture
def given(secure_door: SecureDoor) -> Iterator[dict[str, str]]:
    """Every secret that the runs are given, by name."""
    with secure_door.user() as user:
        yield {
            "user": user,
            "password": PASSWORD,
            "accountant's password": canary(),
            "Kafka's password": canary(),
            "Kafka's key": canary(),
            "database password": canary(),
        }


@pytest.fixture
def stock_job(
    tmp_path: Path,
    stock_topics: StockTopics,
    secure_door: SecureDoor,
    database: Database[dict[str, Any]],
    given: dict[str, str],
) -> Iterator[Job]:
    """A stock pipeline whose environment is full of secrets, with Spark's event log on."""
    (tmp_path / "spark").mkdir()
    (tmp_path / "events").mkdir()
    (tmp_path / "spark" / "spark-defaults.conf").write_text(
        "spark.eventLog.enabled true\nspark.eventLog.compress false\n"
        f"spark.eventLog.dir {(tmp_path / 'events').as_uri()}\n"
    )
    environment = {
        "MONGO_URI": secure_door.uri(given["user"]),
        **stock_topics.environment(database.name),
        "ACCOUNTANT_PASSWORD": given["accountant's password"],
        # The broker asks nobody for a password; the clients are given them all the same.
        "KAFKA_OPTION_SASL_JAAS_CONFIG": _LOGIN.format(given["Kafka's password"]),
        "KAFKA_OPTION_SSL_KEY_PASSWORD": given["Kafka's key"],
        "POSTGRES_DSN": f"postgresql://app:{given['database password']}@127.0.0.1:9/shop",
        "SPARK_CONF_DIR": str(tmp_path / "spark"),
        "LOG_LEVEL": "DEBUG",
    }
    job = Job(tmp_path, environment, own_java=True)
    yield job
    job.end()


def test_the_stock_pipeline_and_its_commands_show_no_secret(
    stock_job: Job, stock_topics: StockTopics, given: dict[str, str]
) -> None:
    """A failed batch with its traceback, dead letters, checks, wrong passwords, settings as shown."""
    job = stock_job
    stock_topics.send(product("P1"), sale("I1", P1=2), sale("I2", amount="-1"))
    stock_topics.send("{", kind=SALES)
    assert job.run("--pipeline", "stock", "--once", FAULT="sales:raise:1") == 0, job.output()
    assert "Traceback" in job.output()
    assert list((job.folder / "dlq").glob("stock_dlq_*.json"))
    assert any(file.stat().st_size > 10_000 for file in (job.folder / "events").rglob("*"))
    assert job.run("dlq", "list", "--pipeline", "stock") == 0
    for command in (["check", "--pipeline", "stock"], ["config"], ["config", "--json"]):
        assert job.run(*command) == 0, job.output()
    assert "ACCOUNTANT_PASSWORD" in job.output()
    wrong = job.environment["MONGO_URI"].replace("%23", "%24")
    assert wrong != job.environment["MONGO_URI"]
    for command in (["check", "--pipeline", "stock"], ["--pipeline", "stock", "--once"]):
        assert job.run(*command, MONGO_URI=wrong) == 2, job.output()
    refused = {"KAFKA_OPTION_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_OPTION_SASL_MECHANISM": "PLAIN"}
    for command in (["check", "--pipeline", "stock"], ["--pipeline", "stock", "--once"]):
        assert job.run(*command, KAFKA_WAIT_SECONDS="1", **refused) == 2, job.output()
    assert leaks(job.folder, given) == []
