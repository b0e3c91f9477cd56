"""The seed's way of keeping a shop's winners and clients, and the collections it keeps them in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pymongo.database import Database
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from settings import Settings

_SEED = "bench_seed"
_SALE = "client_id STRING, total_amount DECIMAL(20,2), items ARRAY<STRUCT<product_id: STRING, quantity: INT>>"
_COPIED_AT_ONCE = 20_000


def copy_sales(database: Database[dict[str, Any]], count: int) -> None:
    """Copy the shop's `count` sales into the collection that the seed would have left."""
    fields = {"client_id": 1, "total_amount": 1, "items": 1}
    for start in range(0, count, _COPIED_AT_ONCE):
        some = database["sales"].find({}, fields).sort("_id", 1).skip(start).limit(_COPIED_AT_ONCE)
        database[f"{_SEED}_sales"].insert_many(list(some), ordered=False)


class Seed:
    """The seed's way, with the connector it uses."""

    def __init__(self, spark: SparkSession, settings: Settings, database: str) -> None:
        self._spark = spark
        self._settings = settings
        self._options = {"connection.uri": settings.mongo_uri.get_secret_value(), "database": database}

    def batch(self, frame: DataFrame, _number: int) -> None:
        """Append, read everything, compute, overwrite."""
        sales = frame.where(F.col("topic") == self._settings.kafka_topic_sales)
        new = sales.select(
            F.from_json(F.col("value").cast("string"), f"invoice_id STRING, {_SALE}").alias("sale")
        )
        new = new.select("sale.*").withColumnRenamed("invoice_id", "_id")
        self._write(new, f"{_SEED}_sales", "append")
        sold = self._read(f"{_SEED}_sales", _SALE).selectExpr("explode(items) AS item").select("item.*")
        prices = self._read("inventory", "product_id STRING, name STRING, buy_cents LONG, sell_cents LONG")
        units = sold.groupBy("product_id").agg(F.sum("quantity").alias("units_sold"))
        ranked = units.join(prices, "product_id").withColumn(
            "total_profit", F.expr("CAST((sell_cents - buy_cents) * units_sold / 100 AS DECIMAL(20,2))")
        )
        best = ranked.orderBy(F.desc("total_profit"), "product_id").limit(10)
        self._write(best, f"{_SEED}_winners", "overwrite")
        every = self._read(f"{_SEED}_sales", _SALE)
        clients = every.groupBy("client_id").agg(F.sum("total_amount").alias("total_revenue_generated"))
        self._write(
            clients.withColumn("eligible_promo", F.expr("total_revenue_generated > 10000")),
            f"{_SEED}_clients",
            "overwrite",
        )

    def _read(self, collection: str, schema: str) -> DataFrame:
        reader = self._spark.read.format("mongodb").options(**self._options).schema(schema)
        partitioner = "com.mongodb.spark.sql.connector.read.partitioner.SinglePartitionPartitioner"
        return reader.option("collection", collection).option("partitioner", partitioner).load()

    def _write(self, frame: DataFrame, collection: str, mode: str) -> None:
        writer = frame.write.format("mongodb").mode(mode).options(**self._options)
        writer.option("collection", collection).save()


def winners(database: Database[dict[str, Any]]) -> list[tuple[str, Decimal]]:
    """The products and profits that the seed has published, best first."""
    rows = database[f"{_SEED}_winners"].find()
    found = [(row["product_id"], row["total_profit"].to_decimal()) for row in rows]
    return sorted(found, key=lambda row: (-row[1], row[0]))
