"""Names under which settings may be given beside their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What settings were called before; the old names go with the next release.
EARLIER_NAMES = {
    "EVENTS_PER_SECOND": "NOTICES_PER_SECOND",
    "HEALTH_CHECK_HOST": "HEALTH_HOST",
    "HEALTH_CHECK_PORT": "HEALTH_PORT",
}
# KAFKA_OPTION_SSL_KEY_PASSWORD is Kafka's ssl.key.password.
KAFKA_OPTION = "KAFKA_OPTION_"

_Given = Mapping[str, str | None]


def by_earlier_names(*places: _Given) -> dict[str, Any]:
    """Values under an earlier name that neither the same place nor a nearer one has under the new one.

    `places` are the nearest first; the keys are names of fields.
    """
    found: dict[str, Any] = {}
    for earlier, name in EARLIER_NAMES.items():
        nearest = next((place for place in places if place.get(earlier) or place.get(name)), {})
        if not nearest.get(name) and nearest.get(earlier):
            found[name.lower()] = nearest[earlier]
    return found


def kafka_options(given: _Given) -> dict[str, str]:
    """The options of Kafka's clients in `given`, under Kafka's own names."""
    return {
        name[len(KAFKA_OPTION) :].lower().replace("_", "."): value
        for name, value in given.items()
        if name.upper().startswith(KAFKA_OPTION) and value
    }
