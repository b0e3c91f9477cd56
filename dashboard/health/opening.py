"""Opens what health's pages, and a model that asks, read of an installation; needs no Streamlit."""

from __future__ import annotations

from contracts import effects
from contracts.health import SOURCE_COLLECTION
from contracts.health_metrics import METRICS
from dashboard.data.database import open_database
from dashboard.data.health_data import HealthData
from settings import Settings
from sources.mongo_client import for_reading


def open_data(settings: Settings) -> HealthData:
    """What the dashboard's user of MongoDB and the service's folders give."""
    database = open_database(settings.dashboard_mongo_uri or settings.mongo_uri, settings.mongo_db_name)
    return HealthData(
        for_reading(database[settings.analytics_collection]),
        settings.log_directory,
        settings.metrics_directory,
        settings.analytics_timezone,
        for_reading(database[SOURCE_COLLECTION]),
        settings.sources_of_phones,
        effects.parse(settings.least_effects, METRICS),
    )
