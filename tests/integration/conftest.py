"""What the stock pipeline's integration tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pyspark.sql import SparkSession

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
