"""Shows the demo's results in the terminal: the worked example, expected against found, and anomalies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from pipelines.health.worked_example import EXPECTED, found_figures

_SHOWN_ANOMALIES: Final = 12

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


def newest_anomalies(documents: Sequence[_Document]) -> list[_Document]:
    """The documents with the newest anomalies, newest first, each user, metric and day once."""
    found: dict[tuple[Any, ...], _Document] = {}
    for document in documents:
        if document["analytics"]["anomalyDetected"]:
            day = document["analytics"]["anomalyDetails"]["detectedAt"]
            found[(document["userId"], document["metricType"], day)] = document
    return [found[key] for key in sorted(found, key=lambda key: key[2], reverse=True)]


def anomaly_row(document: _Document) -> tuple[str, str, str, str]:
    """Day, end of the user's id, severity and sentence of an anomaly, as they are shown."""
    # `--help` of all commands passes here, and needs no pyarrow.
    from analytics.health.documents import beside_its_day

    details = document["analytics"]["anomalyDetails"]
    day, user = details["detectedAt"], f"…{str(document['userId'])[-6:]}"
    return f"{day:%Y-%m-%d}", user, details["severity"], beside_its_day(details["message"], day)


def print_anomalies(documents: Sequence[_Document], console: Console) -> None:
    """Print the newest anomalies of `documents`."""
    anomalies = newest_anomalies(documents)
    table = Table(
        "day", "user", "severity", "what", title=f"⚠️  Anomalies found: {len(anomalies)}, the newest"
    )
    for document in anomalies[:_SHOWN_ANOMALIES]:
        table.add_row(*anomaly_row(document))
    console.print(table)
