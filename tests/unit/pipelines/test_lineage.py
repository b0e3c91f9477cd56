"""Datasets have the names that OpenLineage's specification gives them, without anything secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openlineage.client.naming import dataset as naming

from contracts.lineage import Dataset, collection, table, topic
from pipelines.catalog import PIPELINES
from pipelines.engine.pipeline import Pipeline
from settings import Settings, load

SECRET = "hunter2"  # noqa: S105
ADDRESSES = {
    "mongo_uri": f"mongodb://app:{SECRET}@db-1:27018,db-2/?authMechanismProperties=AWS_SESSION_TOKEN:{SECRET}",
    "postgres_dsn": f"postgresql://app:{SECRET}@pg/shop?sslpassword={SECRET}",
    "kafka_bootstrap_servers": "kafka-1:9093, kafka-2:9092",
    "esports_output_path": "/data/esports",
    "stock_cold_path": "/data/cold",
    "ecommerce_input_path": "/data/in",
}
MONGO, KAFKA, POSTGRES = "mongodb://db-1:27018", "kafka://kafka-1:9093", "postgres://pg:5432"
NAMES = {
    "health": {"": ([f"{MONGO} health-metrics.healthmetrics"], [f"{MONGO} health-metrics.analytics"])},
    "ecommerce": {"": (["file /data/in"], [f"{POSTGRES} shop.public.user_events"])},
    "esports": {
        "matches": ([f"{KAFKA} esports-matches"], ["file /data/esports/matches"]),
        "players": ([f"{KAFKA} esports-players"], ["file /data/esports/players"]),
    },
    "stock": {
        "": (
            [f"{KAFKA} topic-{name}" for name in ("raw-sales", "inventory-updates", "clients")],
            [
                *(f"{MONGO} stock_management.{name}" for name in ("sales", "inventory")),
                *(f"{MONGO} stock_management.{name}" for name in ("product_totals", "clients")),
                "file /data/cold/events",
            ],
        )
    },
}


def _settings(**more: Any) -> Settings:
    return load(env_file=None, **{**ADDRESSES, **more})


@pytest.mark.parametrize("one", PIPELINES.values(), ids=PIPELINES)
def test_each_stream_of_a_pipeline_has_its_datasets(one: Pipeline) -> None:
    """By the stream's label in the batch log; of several servers the first names them."""
    assert one.lineage
    found = one.lineage(_settings())
    shown = {
        stream: tuple([f"{dataset.namespace} {dataset.name}" for dataset in side] for side in lineage)
        for stream, lineage in found.items()
    }
    assert shown == NAMES[one.name]
    assert set(found) == set(one.parts or ("",))
    assert SECRET not in str(found)
    assert "app" not in str(found).replace("mapping", "")


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("postgresql://pg:6000/a?options=-csearch_path%3Dsales", "postgres://pg:6000 a.sales.user_events"),
        ("postgresql://%2Fvar%2Frun/a", "postgres://127.0.0.1:5432 a.public.user_events"),
        ("postgresql://u:p@one,two:2/a", "postgres://one:5432 a.public.user_events"),
        ("postgresql://u:%zz@", "postgres://127.0.0.1:5432 postgresql.public.user_events"),
    ],
)
def test_a_table_is_where_its_address_says(dsn: str, expected: str) -> None:
    """In its schema; an address that cannot be read is told by who connects."""
    lineage = PIPELINES["ecommerce"].lineage
    assert lineage
    ((events,),) = [one.outputs for one in lineage(_settings(postgres_dsn=dsn)).values()]
    assert f"{events.namespace} {events.name}" == expected


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (topic("k:9092", "t"), naming.Kafka("k", "9092", "t")),
        (table("pg:5432", "d", "s", "t"), naming.Postgres("pg", "5432", "d", "s", "t")),
    ],
    ids=["kafka", "postgres"],
)
def test_names_are_those_of_the_library(ours: Dataset, theirs: Any) -> None:
    """Where it has any of that kind."""
    assert ours == (theirs.get_namespace(), theirs.get_name())


def test_a_collection_is_named_with_its_database() -> None:
    """As the specification says of MongoDB."""
    assert collection("db:27017", "shop", "sales") == ("mongodb://db:27017", "shop.sales")


def test_a_folder_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who reads the event knows nothing of where the process ran."""
    monkeypatch.chdir(tmp_path)
    lineage = PIPELINES["esports"].lineage
    assert lineage
    found = lineage(_settings(esports_output_path="out"))["matches"].outputs
    assert found == (("file", f"{tmp_path.as_posix()}/out/matches"),)
