"""Measures Kafka → Parquet against the seed's way and a bare Spark sink, on the same records in one run.

Each peer reads the whole topic once into a fresh folder; turns alternate, so that a machine that grows slower
slows all of them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.readwriter import DataStreamWriter
from rich.console import Console

from analytics.esports.rules import MATCHES
from benchmarks.common import drop_topics, folders, in_turns
from benchmarks.figures import Figures
from monitoring import logs
from pipelines.engine.kafka_connector import connector_conf
from pipelines.engine.stop_flag import StopFlag
from pipelines.esports.job import assemble
from pipelines.esports.kafka_input import kafka_inputs
from session import build_session
from settings import Settings, load
from simulation.kafka_sender import kafka_sender
from simulation.program import Message
from sources.kafka_broker import KafkaBroker
from sources.kafka_stream import read_topics

_PARTITIONS = 4
_WARM_UP_RECORDS = 20_000
_BUDGETS = {"seed": 1.5, "bare": 0.85}
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
    """Fill a new topic; each `corrupt_every`-th record is no JSON (0: none)."""
    corrupt = range(0, records, corrupt_every) if corrupt_every else ()
    values = (b"{" if number in corrupt else record(number) for number in range(records))
    made = (Message(topic, str(number), value) for number, value in enumerate(values))
    with kafka_sender(servers, {topic: topic}, _PARTITIONS) as send:
        send(made, datetime.now(timezone.utc))


class Peers:
    """Each method reads the whole topic into an empty folder."""

    def __init__(self, spark: SparkSession, settings: Settings, scratch: Path) -> None:
        self._spark = spark
        self._settings = settings
        self._scratch = scratch

    def ours(self, topic: str) -> None:
        """The pipeline as it is."""
        given = self._settings.model_copy(update={"kafka_topic_matches": topic})
        broker = KafkaBroker(self._spark, given.kafka_bootstrap_servers, {})
        inputs = kafka_inputs(self._spark, given, broker)
        if not assemble(given, self._spark, inputs, [MATCHES]).once(StopFlag()):
            raise RuntimeError("the pipeline failed; its log says why")
        broker.close()

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
        """Write with Spark's own sink for Parquet and check nothing: the limit."""
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


def written(scratch: Path) -> int:
    """Rows of all Parquet files below the folder."""
    return sum(pq.read_metadata(file).num_rows for file in scratch.rglob("*.parquet"))


def main(
    servers: Annotated[str, typer.Option(envvar="KAFKA_TEST_SERVERS", help="A broker to fill.")],
    records: Annotated[int, typer.Option(help="How many records the topic has.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="How often each peer has its turn.")] = 3,
    corrupt_every: Annotated[int, typer.Option(help="Each so-manieth record is no JSON; 0: none.")] = 0,
) -> None:
    """Measure, print, and exit with 1 when a budget is missed."""
    logs.configure("WARNING", [])
    out = Console()
    topics = {size: f"bench-{size}-{time.time_ns()}" for size in (_WARM_UP_RECORDS, records)}
    expected = records - (-(-records // corrupt_every) if corrupt_every else 0)
    with tempfile.TemporaryDirectory(prefix="bench-esports-") as folder:
        scratch = Path(folder) / "turn"
        places = {**folders(Path(folder)), "checkpoint_location": scratch / "checkpoint"}
        settings = load(
            env_file=None,
            kafka_bootstrap_servers=servers,
            esports_output_path=scratch / "out",
            kafka_options={},
            health_port=0,
            **places,
        )
        spark = build_session(settings.spark, True, connector_conf(settings))
        fill(servers, topics[_WARM_UP_RECORDS], _WARM_UP_RECORDS, 0)
        fill(servers, topics[records], records, corrupt_every)
        peers = Peers(spark, settings, scratch)

        def turn(run: Callable[[str], None], size: int) -> float:
            """Wall seconds of one pass over a topic, into empty folders."""
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            start = time.monotonic()
            run(topics[size])
            seconds = time.monotonic() - start
            if run == peers.ours and size == records and written(scratch) != expected:
                raise RuntimeError(f"ours wrote {written(scratch)} rows of {records}")
            return seconds

        runs = {"ours": peers.ours, "seed": peers.seed, "bare": peers.bare}
        for run in runs.values():
            turn(run, _WARM_UP_RECORDS)
        medians = in_turns({name: partial(turn, run, records) for name, run in runs.items()}, rounds, out)
        spark.stop()
    drop_topics(servers, topics.values())
    figures = Figures(out, "esports")
    rows = [
        [name, f"{records / seconds:,.0f}", f"{seconds / medians['ours']:.2f}"]
        for name, seconds in medians.items()
    ]
    title = f"{records:,} matches of about {len(record(12_345))} bytes in {_PARTITIONS} partitions"
    figures.table(title, ["way", "records/s", "ours, times that"], rows)
    for name, least in _BUDGETS.items():
        what = f"throughput against {name}"
        figures.judge(what, medians[name] / medians["ours"], " ×", least=least)
    figures.end()


if __name__ == "__main__":
    typer.run(main)
