"""What the stock pipeline may keep for some days only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from contracts import AlreadyRunningError, ServiceError
from monitoring.logs import get_logger
from pipelines.engine.retention import Kept
from settings import Settings

logger = get_logger(__name__)


def keeps(settings: Settings) -> Sequence[Kept]:
    """The records of the cold store, by Kafka's time of each, and what invoices say, by their own."""
    cold, sales = partial(_remove_rows, settings), partial(_retire, settings)
    return [
        Kept("records of the cold store", "STOCK_COLD_KEEP_DAYS", settings.stock_cold_keep_days, cold),
        Kept("contents of invoices", "STOCK_SALES_KEEP_DAYS", settings.stock_sales_keep_days, sales),
    ]


def _remove_rows(settings: Settings, before: datetime, dry_run: bool) -> int:
    import pyarrow as pa

    from sinks.parquet.generations import Generations
    from sinks.parquet.retention import remove_rows
    from sinks.stock.archive import DATASET, TIME

    dataset = Generations(settings.stock_cold_path.absolute(), DATASET)
    try:
        return remove_rows(dataset, TIME, before, dry_run)
    except (OSError, pa.ArrowException) as error:
        raise ServiceError(
            f"{dataset.path} is as it was: {error}. Look at the file that is named, or make room on the "
            "disk; then start again."
        ) from error


def _retire(settings: Settings, before: datetime, dry_run: bool) -> int:
    """A stream that runs holds the database, and does it itself."""
    from sinks.stock.retirement import old_sales
    from sinks.stock.sales import COLLECTION
    from sources.mongo_client import connect

    if dry_run:
        client = connect(settings.mongo_uri.get_secret_value(), round(settings.mongo_timeout_seconds * 1000))
        return client[settings.stock_db_name][COLLECTION].count_documents(old_sales(before))
    from pipelines.stock.job import open_upkeep

    try:
        with open_upkeep(settings) as upkeep:
            return upkeep.retire(before, upkeep.work.writer.clock.now())
    except AlreadyRunningError:
        logger.info("The stock pipeline runs, and removes what old invoices say once a day itself")
        return 0
