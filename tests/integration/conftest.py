"""What integration tests share: a shop of the stock pipeline, a database of the e-commerce pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pymongo.database import Database
from pyspark.sql import SparkSession

from sinks.ecommerce.schema import ensure_tables
from tests.support.stock_shop import StockShop, StockTopics


@pytest.fixture
def shop(
    tmp_path: Path,
    stock_topics: StockTopics,
    mongo_uri: str,
    database: Database[dict[str, Any]],
    spark: SparkSession,
) -> StockShop:
    """A shop with empty topics and database."""
    return StockShop(tmp_path, stock_topics, mongo_uri, database, spark)


@pytest.fixture
def connection(events_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a database with empty tables."""
    with psycopg.connect(events_dsn, autocommit=True) as opened:
        with opened.transaction():
            ensure_tables(opened)
        yield opened
