"""`main.py check --pipeline stock` on real servers: ready, without topics, without rights, Kafka down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from typer.testing import CliRunner

from main import app
from sinks.stock.schema import ensure_indexes
from tests.support.kafka_servers import JARS, OwnBroker
from tests.support.mongo_doors import run_script
from tests.support.stock_shop import StockTopics

Rows = Mapping[str, Mapping[str, str]]


@pytest.fixture
def own_topics(own_kafka: OwnBroker) -> StockTopics:
    """Topics on a broker that this test may kill."""
    return StockTopics(own_kafka.servers)


def _check(monkeypatch: pytest.MonkeyPatch, folder: Path, **given: str) -> tuple[int, Rows]:
    for name in ("LOG_DIRECTORY", "METRICS_DIRECTORY", "DLQ_DIRECTORY", "CHECKPOINT_LOCATION"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("KAFKA_CONNECTOR_PATH", str(JARS))
    for name, value in given.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["check", "--pipeline", "stock", "--json"])
    return done.exit_code, {row["name"]: row for row in json.loads(done.stdout)["checks"]}


def test_check_tells_what_the_stock_pipeline_needs(
    own_topics: StockTopics,
    own_kafka: OwnBroker,
    mongo_uri: str,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ready before the first start; without a topic; with Kafka down: each failure with its own remedy."""
    sales, inventory, clients = own_topics.names.values()
    given = {
        "mongo_uri": mongo_uri,
        "stock_db_name": database.name,
        "kafka_bootstrap_servers": own_kafka.servers,
        "kafka_topic_sales": sales,
        "kafka_topic_inventory": inventory,
        "kafka_topic_clients": clients,
    }
    code, rows = _check(monkeypatch, tmp_path, **given)
    assert code == 0, rows
    names = ("Kafka", "Topics", "MongoDB", "Rights")
    assert [rows[name]["status"] for name in names] == ["ok"] * 4
    assert f"{sales} (partitions: 2)" in rows["Topics"]["detail"]
    assert database.name in rows["MongoDB"]["detail"]
    assert database.list_collection_names() == []
    code, rows = _check(monkeypatch, tmp_path, kafka_topic_clients="no-such-topic")
    assert (code, rows["Topics"]["status"]) == (2, "failed")
    assert "no-such-topic not found" in rows["Topics"]["detail"]
    assert (
        f"--bootstrap-server {own_kafka.servers} --create --topic no-such-topic" in rows["Topics"]["remedy"]
    )
    assert "KAFKA_TOPIC_CLIENTS" in rows["Topics"]["remedy"]
    # Looking at a topic must not make it.
    assert _check(monkeypatch, tmp_path)[1]["Topics"]["status"] == "failed"
    own_kafka.run("kill")
    code, rows = _check(monkeypatch, tmp_path)
    assert code == 2
    found = [rows[name]["status"] for name in names]
    assert found == ["failed", "skipped", "ok", "ok"]
    assert own_kafka.servers in rows["Kafka"]["detail"]
    assert rows["Kafka"]["remedy"].startswith("Start Kafka")


def test_missing_rights_are_told_by_collection(
    kafka: str,
    limited_door: str,
    database: Database[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With reading alone, then with writing in all but one; nothing is written by asking."""
    ensure_indexes(database)
    for name in ("publications", "stock_ledger"):
        database.create_collection(name)
    names = database.list_collection_names()
    for name in names:
        run_script("grant", database.name, name, "read")
    given = {"mongo_uri": limited_door, "stock_db_name": database.name, "kafka_bootstrap_servers": kafka}
    _, rows = _check(monkeypatch, tmp_path, **given)
    assert rows["Rights"]["status"] == "failed"
    refused = rows["Rights"]["detail"].removeprefix("not allowed: ").split(", ")
    assert set(refused) == {
        *(f"update in {name}" for name in set(names) - {"product_winners", "loss_risk_products"}),
        *(f"remove in {name}" for name in ("product_winners", "loss_risk_products")),
    }
    assert f"`readWrite` on {database.name}" in rows["Rights"]["remedy"]
    for name in set(names) - {"clients"}:
        run_script("grant", database.name, name, "write")
    _, rows = _check(monkeypatch, tmp_path)
    assert rows["Rights"]["detail"] == "not allowed: update in clients"
    run_script("grant", database.name, "clients", "write")
    _, rows = _check(monkeypatch, tmp_path)
    assert rows["Rights"]["status"] == "ok"
    assert all(database[name].count_documents({}) == 0 for name in names)
