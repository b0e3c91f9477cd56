"""Measures Kafka → Parquet against the seed's way and a bare Spark sink, on the same records in one run.

Each peer reads the whole topic once into a fresh folder; turns alternate, so that a machine that grows slower
slows all of them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.readwriter import DataStreamWriter
from rich.console import Console
from rich.table import Table

from analytics.esports.rules import MATCHES
from monitoring import logs
from pipelines.engine.kafka_connector import connector_conf
from pipelines.engine.stop_flag import StopFlag
from pipelines.esports.job import assemble
from session import build_session
from settings import Settings, load
from sources.kafka_stream import read_topics

_PARTITIONS = 4
_WARM_UP_RECORDS = 20_000
_BUDGETS = {"seed": 1.5, "bare": 0.7}
_STATUS = ("finished", "live", "scheduled")
_SCHEMA = ", ".join(f"{name} {kind}" for name, kind in MATCHES.fields.items())


def record(number: int) -> bytes:
    """A match of about 700 bytes with every field."""
    fields: dict[str, Any] = {}
    for name, kind in MATCHES.fields.items():
        fields[name] = f"{name} {number % 997}" if kind == "STRING" else number % 50_000
    fields |= {
        "match_id": f"M{number}",
        "status": _STATUS[number % 3],
        "started_at": "2026-01-01T12:00:00Z",
        "finished_at": "2026-01-01T12:40:00Z",
        "ingestion_timestamp": 1_767_268_800_000 + number,
    }
    return json.dumps(fields).encode()


def fill(servers: str, topic: str, records: int, corrupt_every: int) -> None:
    """Make the topic, unless it is there; each `corrupt_every`-th record is no JSON (0: none)."""
    admin = AdminClient({"bootstrap.servers": servers})
    if topic in admin.list_topics(timeout=10).topics:
        return
    admin.create_topics([NewTopic(topic, _PARTITIONS, 1)])[topic].result(30)
    producer = Producer(
        {"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 50, "compression.type": "lz4"}
    )
    for number in range(records):
        while True:
            try:
                value = b"{" if corrupt_every and number % corrupt_every == 0 else record(number)
                producer.produce(topic, value, partition=number % _PARTITIONS)
                break
            except BufferError:
                producer.poll(0.5)
    producer.flush(300)


class Peers:
    """Each method reads the whole topic into an empty folder."""

    def __init__(self, spark: SparkSession, settings: Settings, scratch: Path) -> None:
        self._spark = spark
        self._settings = settings
        self._scratch = scratch

    def ours(self, topic: str) -> None:
        """The pipeline as it is."""
        given = self._settings.model_copy(update={"kafka_topic_matches": topic})
        pipeline = assemble(given, self._spark, [MATCHES])
        if not pipeline.once(StopFlag()):
            raise RuntimeError("the pipeline failed; its log says why")
        pipeline.feed.broker.close()

    def seed(self, topic: str) -> None:
        """Two counts and an append for each batch, and no check but for null."""

        def write(batch: DataFrame, _number: int) -> None:
            batch.count()
            if batch.count() > 0:
                batch.write.mode("append").partitionBy("status").parquet(str(self._scratch / "out"))

        options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt_record"}
        parsed = self._parsed(topic, options).where("data IS NOT NULL").select("data.*")
        self._run(parsed.writeStream.foreachBatch(write))

    def bare(self, topic: str) -> None:
        """Spark's own sink for Parquet, and nothing is checked: the limit."""
        parsed = self._parsed(topic, {}).select("data.*").writeStream.partitionBy("status")
        self._run(parsed.format("parquet").option("path", str(self._scratch / "out")))

    def _parsed(self, topic: str, options: dict[str, str]) -> DataFrame:
        value = F.col("value").cast("string")
        settings = self._settings
        records = read_topics(
            self._spark, settings.kafka_bootstrap_servers, settings.kafka_options, [topic],
            settings.kafka_max_offsets_per_trigger, settings.kafka_starting_offsets,
        )  # fmt: skip
        return records.select(F.from_json(value, _SCHEMA, options).alias("data"))

    def _run(self, writer: DataStreamWriter) -> None:
        checkpoint = str(self._scratch / "checkpoint")
        query = writer.option("checkpointLocation", checkpoint).trigger(availableNow=True).start()
        query.awaitTermination()


def time_peer(run: Callable[[str], None], topic: str, scratch: Path) -> float:
    """Wall seconds of one pass over the topic, into empty folders."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    start = time.monotonic()
    run(topic)
    return time.monotonic() - start


def written(scratch: Path) -> int:
    """Rows of all Parquet files below the folder."""
    return sum(pq.read_metadata(file).num_rows for file in scratch.rglob("*.parquet"))


def main(
    records: Annotated[int, typer.Option(help="How many records the topic has.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="How often each peer has its turn.")] = 3,
    corrupt_every: Annotated[int, typer.Option(help="Each so-manieth record is no JSON; 0: none.")] = 0,
) -> None:
    """Measure, print, and exit with 1 when a budget is missed."""
    servers = os.environ["KAFKA_TEST_SERVERS"]
    logs.configure("WARNING", [])
    out = Console()
    with tempfile.TemporaryDirectory(prefix="bench-esports-") as folder:
        root, scratch = Path(folder), Path(folder) / "turn"
        names = ("log_directory", "metrics_directory", "dlq_directory")
        settings = load(
            env_file=None,
            kafka_bootstrap_servers=servers,
            esports_output_path=scratch / "out",
            checkpoint_location=scratch / "checkpoint",
            kafka_options={},
            health_port=0,
            **{name: root / name for name in names},
        )
        spark = build_session(settings.spark, True, connector_conf(settings))
        topic, small = f"bench-{records}-{corrupt_every}", f"bench-{_WARM_UP_RECORDS}-0"
        fill(servers, small, _WARM_UP_RECORDS, 0)
        fill(servers, topic, records, corrupt_every)
        peers = Peers(spark, settings, scratch)
        runs = {"ours": peers.ours, "seed": peers.seed, "bare": peers.bare}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():
            time_peer(run, small, scratch)
        for _ in range(rounds):
            for name, run in runs.items():
                seconds[name].append(time_peer(run, topic, scratch))
                out.print(f"{name}: {seconds[name][-1]:.1f} s")
                expected = records - (-(-records // corrupt_every) if corrupt_every else 0)
                if name == "ours" and written(scratch) != expected:
                    raise RuntimeError(f"{name} wrote {written(scratch)} rows of {records}")
        spark.stop()
    verdict = _tell(out, records, {name: records / median(found) for name, found in seconds.items()})
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.delete_topics([small, topic]).values():
        future.result(30)
    sys.exit(0 if verdict else 1)


def _tell(out: Console, records: int, rates: dict[str, float]) -> bool:
    table = Table("peer", "records/s", "ours / peer", "budget")
    kept = True
    for name, rate in rates.items():
        budget = _BUDGETS.get(name)
        ratio = rates["ours"] / rate
        kept = kept and (budget is None or ratio >= budget)
        table.add_row(name, f"{rate:,.0f}", f"{ratio:.2f}", "" if budget is None else f"≥ {budget:g}")
    out.print(f"{records:,} matches of about {len(record(12_345))} bytes in {_PARTITIONS} partitions")
    out.print(table)
    out.print("✅ within the budgets" if kept else "❌ a budget is missed")
    return kept


if __name__ == "__main__":
    typer.run(main)
