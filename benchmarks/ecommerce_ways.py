"""Ways of getting the same CSV files into `user_events`: the pipeline, and what it is measured against."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
import psycopg2
from psycopg2.extras import execute_values
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.common import folders
from benchmarks.ecommerce_database import INSERT, STAGING, jdbc_address
from contracts import ConfigurationError
from contracts.ecommerce import EVENT_COLUMNS
from pipelines.ecommerce.job import assemble
from pipelines.engine.stop_flag import StopFlag
from settings import load
from sinks.ecommerce.insertion import SETTINGS
from sinks.ecommerce.schema import EVENTS

# (Spark, address of a database with empty tables, files) → the events are stored and committed.
Way = Callable[[SparkSession, str, Sequence[Path]], None]
JDBC_DRIVER = "org.postgresql:postgresql:42.7.4"
_SCHEMA = ", ".join(f"{name} {'DOUBLE' if name == 'price' else 'STRING'}" for name in EVENT_COLUMNS)


def pipeline(spark: SparkSession, dsn: str, files: Sequence[Path]) -> None:
    """A whole run of the e-commerce pipeline over the files' folder, until Spark and the logs have it."""
    with tempfile.TemporaryDirectory() as name:
        given = {"postgres_dsn": dsn, "ecommerce_input_path": files[0].parent, **folders(Path(name))}
        settings = load(env_file=None, **given)
        if not assemble(settings, spark).once(StopFlag()):
            raise RuntimeError("the pipeline failed; its log says why")


def seeds_way(spark: SparkSession, dsn: str, files: Sequence[Path]) -> None:
    """Load `files` the seed's way: Spark validates, the driver collects, psycopg2 inserts."""
    statement = (
        f"INSERT INTO {EVENTS} ({', '.join(EVENT_COLUMNS)}) VALUES %s ON CONFLICT (event_id) DO NOTHING"
    )

    def write(batch: DataFrame, _number: int) -> None:
        records = [row.asDict() for row in batch.collect()]
        values = [tuple(record[name] for name in EVENT_COLUMNS) for record in records]
        connection = psycopg2.connect(dsn)
        try:
            with connection, connection.cursor() as cursor:
                execute_values(cursor, statement, values)
        finally:
            connection.close()

    _stream(spark, files, write)


def spark_jdbc(spark: SparkSession, dsn: str, files: Sequence[Path]) -> None:
    """Spark reads, validates and writes the staging table by JDBC (batches in one statement), then INSERT."""

    def write(batch: DataFrame, _number: int) -> None:
        writer = batch.write.mode("append").option("batchsize", 10_000)
        writer.jdbc(jdbc_address(dsn), STAGING, properties={"driver": "org.postgresql.Driver"})
        with psycopg.connect(dsn) as connection:
            connection.execute(SETTINGS)
            connection.execute(INSERT)

    _stream(spark, files, write)


def psql_copy(_spark: SparkSession, dsn: str, files: Sequence[Path]) -> None:
    """psql alone, without validating: `\\copy` of each file into the staging table, then INSERT."""
    psql = shutil.which("psql")
    if psql is None:
        raise ConfigurationError("psql is not on PATH. Install PostgreSQL's client programs.")
    commands = [f"\\copy {STAGING} from '{path}' with (format csv, header)" for path in files]
    script = "\n".join([*commands, "BEGIN;", f"{SETTINGS};", f"{INSERT};", "COMMIT;"])
    done = subprocess.run(
        [psql, "-qX", "-v", "ON_ERROR_STOP=1", dsn],
        input=script,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"psql failed: {done.stderr[-2000:]}")


def _stream(spark: SparkSession, files: Sequence[Path], write: Callable[[DataFrame, int], None]) -> None:
    """A stream of the files' folder with a checkpoint, as the seed's and the pipeline are, to its end."""
    reader = spark.readStream.schema(f"{_SCHEMA}, _corrupt_record STRING").option("mode", "PERMISSIVE")
    reader = reader.option("header", True).option("maxFilesPerTrigger", len(files))
    with tempfile.TemporaryDirectory() as checkpoint:
        writer = _validated(reader.csv(str(files[0].parent))).writeStream.foreachBatch(write)
        query = writer.option("checkpointLocation", checkpoint).trigger(availableNow=True).start()
        query.awaitTermination()


def _validated(read: DataFrame) -> DataFrame:
    """The seed's validation of what the seed's reader reads."""
    rows = read.where("_corrupt_record IS NULL").select(
        *[F.trim(F.col(name)).alias(name) if name != "price" else F.col(name) for name in EVENT_COLUMNS]
    )
    rows = rows.withColumn("event_type", F.lower("event_type"))
    rows = rows.withColumn("event_timestamp", F.to_timestamp("event_timestamp"))
    required = " AND ".join(f"{name} IS NOT NULL" for name in EVENT_COLUMNS if name != "price")
    rows = rows.where(f"{required} AND event_type IN ('view', 'purchase')")
    rows = rows.where("(price IS NULL OR price >= 0) AND event_timestamp <= current_timestamp()")
    return rows.withColumn("price", F.expr("IF(event_type = 'view', NULL, price)"))
