"""Shows the demo's results in the terminal: the worked example, expected against found, what stands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from analytics.health.unusual import Event, Unusual, events_of, sentence
from analytics.health.words import plural
from contracts.effects import LeastEffect
from pipelines.health.worked_example import EXPECTED, found_figures

_SHOWN_EVENTS: Final = 12

_Document = Mapping[str, Any]


def print_worked_example(
    documents: Sequence[_Document],
    console: Console,
    title: str = "🧮 The worked example (pattern user)",
) -> None:
    """Print a table of the figures of `documents`, each with whether it is as expected."""
    table = Table("figure", "expected", "found", "", title=title)
    found = found_figures(documents)
    for name, expected in EXPECTED.items():
        value = found.get(name, "missing")
        table.add_row(name, expected, value, "✅" if value == expected else "❌")
    console.print(table)


def events_in(documents: Sequence[_Document], least: Mapping[str, LeastEffect]) -> tuple[list[Event], int]:
    """The anomalies of `documents` as the pages tell them, one event for a user and day, the newest first.

    Returns also how many anomalies are left out, because they are smaller than `least`.
    """
    found: dict[tuple[Any, ...], Unusual] = {}
    for document in documents:
        details = document["analytics"]["anomalyDetails"]
        if details is not None:
            user, metric, day = str(document["userId"]), document["metricType"], details["detectedAt"].date()
            # The ranges of a metric have the same latest anomaly.
            found[user, metric, day] = Unusual(
                user,
                day,
                metric,
                details["actualValue"],
                details["expectedValue"],
                details["deviation"],
                details["severity"],
            )
    return events_of(found.values(), least)


def event_row(event: Event, least: Mapping[str, LeastEffect]) -> tuple[str, str, str, str]:
    """Day, end of the user's id, severity and sentence of an event, as they are shown."""
    return f"{event.day:%Y-%m-%d}", f"…{event.user[-6:]}", event.severity, sentence(event, least)


def print_events(documents: Sequence[_Document], console: Console, least: Mapping[str, LeastEffect]) -> None:
    """Print what stands out in `documents`, the newest first."""
    events, hidden = events_in(documents, least)
    small = plural(hidden, "small anomaly", "small anomalies")
    title = f"⚠️  What stands out: {plural(len(events), 'day')} of a person, the newest; {small} left out"
    table = Table("day", "user", "severity", "what", title=title)
    for event in events[:_SHOWN_EVENTS]:
        table.add_row(*event_row(event, least))
    console.print(table)
