"""The pages of the health system, the data that they show, and the verdict on it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from analytics.health.unusual import events_of
from dashboard.data.condition import WORKS, Signs, state_of
from dashboard.data.health_data import HealthData
from dashboard.data.recent import Recent, unusual_in
from dashboard.data.service_files import ServiceFiles
from dashboard.health import anomalies, overview, pipeline, user
from dashboard.health.opening import open_data
from dashboard.page import Page, Room, Verdict, is_set
from dashboard.text import counted
from settings import Settings

_OWN: Final = ("mongo_uri", "dashboard_mongo_uri", "mongo_db_name", "analytics_collection")


def pages(settings: Settings) -> Room:
    """Those of an installation."""
    data = open_data(settings)
    return Room(
        title="Health",
        icon=":material/favorite:",
        mark="💚",
        pages=[
            Page("Overview", "overview", overview.render, data),
            Page("User", "user", user.render, data),
            Page("Anomalies", "anomalies", anomalies.render, data),
            Page("Pipeline", "pipeline", pipeline.render, data),
        ],
        files=ServiceFiles(
            "", settings.log_directory, settings.metrics_directory, settings.batch_interval_seconds
        ),
        verdict=lambda signs, now: judge(data, signs, now),
        is_set=is_set(settings, _OWN),
    )


def judge(data: HealthData, signs: Signs, now: datetime) -> Verdict:
    """Whether everybody is computed, and who stands out today."""
    loaded = data.recent()
    recent = loaded.value
    found = signs.with_results(recent.newest if recent else None, loaded.fault)
    if recent is None or not recent.documents:
        return Verdict("", found, has_data=False)
    metrics = data.metrics().value
    waiting = int(metrics.values.get("health_backlog_documents", 0)) if metrics else 0
    people = counted(recent.user_count(), "person", "people")
    if waiting:
        computed = f"{people}; {counted(waiting, 'change')} not yet computed"
    elif state_of(found, now) in WORKS:
        computed = f"All {people} up to date" if recent.user_count() > 1 else f"{people}, up to date"
    else:
        computed = f"{people}; changes since then are not computed"
    return Verdict(f"{computed}. {_standing_out(recent, now, data)}", found)


def _standing_out(recent: Recent, now: datetime, data: HealthData) -> str:
    """How many people do, by the events that Overview shows."""
    today = now.astimezone(ZoneInfo(data.timezone)).date()
    found = events_of(unusual_in(recent.anomalies), data.least)[0]
    number = len({one.user for one in found if one.day >= today})
    verb = "stands" if number == 1 else "stand"
    return f"**{number:,}** {verb} out today." if number else "Nobody stands out today."


def demo_pages(folder: Path) -> Room:
    """Those of simulated people, whom the real pipeline recomputes meanwhile."""
    from dashboard.health.demo import live

    return live(folder, pages)
