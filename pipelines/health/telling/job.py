"""Builds what tells news from Settings."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr
from pymongo.collection import Collection

from contracts import Clock, effects, quiet_hours
from contracts.health_metrics import METRICS
from monitoring.metrics import Metrics
from pipelines.health.telling.telling import Rules, Telling
from settings import Settings
from sinks.dead_letters import DeadLetters


def open_telling(
    settings: Settings,
    results: Collection[dict[str, Any]],
    letters: DeadLetters,
    clock: Clock,
    metrics: Metrics,
) -> Telling:
    """Tell what is new in `results` to the receivers that the settings name, from now on."""
    rules = Rules(
        settings.notify_webhook_url,
        settings.notify_webhook_secret,
        settings.backend_api_url,
        settings.service_token if settings.notify_backend else SecretStr(""),
        settings.analytics_timezone,
        effects.parse(settings.least_effects, METRICS),
        quiet_hours.parse(settings.notify_quiet_hours),
        settings.notices_per_second,
    )
    return Telling(rules, results, letters, clock, metrics)
