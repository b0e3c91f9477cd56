"""The same batch from parts off the shelf: mongo-spark-connector reads, Spark computes, the connector writes.

Runs in a process of its own (its jars must be there when the JVM starts) and prints one JSON object:
seconds of each round by number of changed users. It computes the same page with simpler documents, without
deleting obsolete ones, and neither orders nor retries its writes.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from datetime import datetime, timezone
from typing import Any

from bson import ObjectId, json_util
from pymongo import MongoClient
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from analytics.health.compute import analytics_of
from benchmarks.population import change, fill, user_ids
from contracts.health_metrics import METRICS
from session import conf_for

PACKAGE = "org.mongodb.spark:mongo-spark-connector_2.13:10.5.0"
TARGET = "analytics_connector"
# The connector guesses a schema from samples otherwise, at each read.
_METRICS_DDL = ", ".join(f"{name} DOUBLE" for name in METRICS)
_SCHEMA = f"userId STRING, date TIMESTAMP, source STRING, metrics STRUCT<{_METRICS_DDL}>"


class ConnectorPeer:
    """One batch at a time: the ids of changed users, their histories, the analytics, the upsert."""

    def __init__(self, spark: SparkSession, uri: str, database: str) -> None:
        self._spark = spark
        self._options = {"connection.uri": uri, "database": database}

    def _read(self, schema: str, condition: dict[str, Any]) -> DataFrame:
        pipeline = json_util.dumps([{"$match": condition}], json_options=json_util.CANONICAL_JSON_OPTIONS)
        reader = self._spark.read.format("mongodb").options(**self._options).schema(schema)
        return (
            reader.option("collection", "healthmetrics")
            .option("aggregation.pipeline", pipeline)
            .option(
                "partitioner", "com.mongodb.spark.sql.connector.read.partitioner.SinglePartitionPartitioner"
            )
            .load()
        )

    def batch(self, since: datetime) -> int:
        """Process the changes after `since`; returns the number of users."""
        changed = self._read("userId STRING", {"updatedAt": {"$gt": since}}).distinct().collect()
        users = [ObjectId(row.userId) for row in changed]
        history = self._read(_SCHEMA, {"userId": {"$in": users}}).where("source IN ('googlefit', 'manual')")
        columns = [F.expr(f"metrics.{name}").alias(name) for name in METRICS]
        days = history.select(
            F.col("userId").alias("user"), F.expr("unix_date(to_date(date))").alias("day"), *columns
        )
        days = days.coalesce(1) if len(users) <= 100 else days.repartition("user")
        self._write(analytics_of(days))
        return len(users)

    def _write(self, result: DataFrame) -> None:
        analytics = [name for name in result.columns if name not in ("user", "metric", "range")]
        history = "arrays_zip(history_days, history_values)"
        documents = result.select(
            F.expr("user AS userId"),
            F.expr("metric AS metricType"),
            F.expr("range AS timeRange"),
            F.struct(*[name for name in analytics if not name.startswith("history_")]).alias("analytics"),
            F.expr(f"{history} AS historicalData"),
            F.current_timestamp().alias("calculatedAt"),
        )
        writer = documents.write.format("mongodb").mode("append").options(**self._options)
        writer.option("collection", TARGET).option("operationType", "replace").option(
            "idFieldList", "userId,timeRange,metricType"
        ).option("upsertDocument", "true").save()


def main(uri: str, database: str, users: int, days: int, changes: list[int], rounds: int) -> None:
    """Measure and print."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    source, target = fill(client[database], users, days), client[database][TARGET]
    target.drop()
    target.create_index([("userId", 1), ("timeRange", 1), ("metricType", 1)], unique=True)
    builder = SparkSession.builder.appName("connector-peer").master("local[*]")
    for key, value in {**conf_for(streaming=False), "spark.jars.packages": PACKAGE}.items():
        builder = builder.config(key, value)
    spark = builder.config("spark.jars.ivy", tempfile.gettempdir() + "/connector-peer-ivy").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    peer, rng = ConnectorPeer(spark, uri, database), random.Random(3)
    seconds: dict[int, list[float]] = {}
    for number in changes:
        chosen = rng.sample(user_ids(users), number)
        for turn in range(rounds + 1):
            since = datetime.now(timezone.utc)
            change(source, chosen, rng)
            began = time.perf_counter()
            found = peer.batch(since)
            if found != number:
                raise RuntimeError(f"the connector found {found} changed users instead of {number}")
            if turn:
                seconds.setdefault(number, []).append(time.perf_counter() - began)
    spark.stop()
    json.dump(seconds, sys.stdout)


if __name__ == "__main__":
    main(
        sys.argv[1],
        sys.argv[2],
        int(sys.argv[3]),
        int(sys.argv[4]),
        json.loads(sys.argv[5]),
        int(sys.argv[6]),
    )
