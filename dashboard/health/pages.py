"""The pages of the health system, and the data that they show."""

from __future__ import annotations

from contracts import effects
from contracts.health import SOURCE_COLLECTION
from dashboard.data.database import open_database
from dashboard.data.health_data import HealthData
from dashboard.health import anomalies, overview, pipeline, user
from dashboard.page import Page
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
        effects.parse(settings.least_effects),
    )


def pages(settings: Settings) -> list[Page]:
    """Those of an installation."""
    data = open_data(settings)
    return [
        Page("Overview", "overview", overview.render, data),
        Page("User", "user", user.render, data),
        Page("Anomalies", "anomalies", anomalies.render, data),
        Page("Pipeline", "pipeline", pipeline.render, data),
    ]


def demo_pages() -> list[Page]:
    """Those of simulated people, whom the real pipeline recomputes meanwhile."""
    from dashboard.background import run_demo
    from dashboard.health.demo import live

    return pages(run_demo(live))
