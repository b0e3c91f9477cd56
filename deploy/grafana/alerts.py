"""The alerts of a pipeline and what the runbooks say of each, for its board."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from deploy.grafana.queries import Query
from pipelines.catalog import PIPELINES

_ROOT = Path(__file__).parents[2]
_COLOURS = {"warning": "orange", "critical": "red"}
_CHOSEN = re.compile(r"\{instance=~[^}]*\}")
# A metric, or its age, above a number that stands there: `x > 7 * 86400`.
_ABOVE = r"(?:^|\(|\band |\bor )%s(?:\{[^}]*\})? > (\d[\d.]*(?: \* \d[\d.]*)*)(?! \*)(?= |\)|$)"


class Alert(NamedTuple):
    """A rule of Prometheus: its name, how bad it is, what it asks and the names in there, in their order."""

    name: str
    severity: str
    expr: str
    metrics: Sequence[str]


@cache
def alerts_of(pipeline: str) -> Sequence[Alert]:
    """The alerts of `pipeline`, in the order of its rules."""
    file = _ROOT / "deploy" / "prometheus" / f"{pipeline}.rules.yml"
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return [
        Alert(rule["alert"], rule["labels"]["severity"], rule["expr"], _metrics(rule["expr"]))
        for group in groups
        for rule in group["rules"]
    ]


def _metrics(expr: str) -> Sequence[str]:
    return [re.sub(r"_(bucket|count|sum)$", "", word) for word in re.findall(r"[a-z_]\w+", expr)]


def limits_of(queries: Sequence[Query], alerts: Sequence[Alert]) -> dict[float, str]:
    """From which number on an alert fires of what one of `queries` shows, and its colour."""
    limits: dict[float, str] = {}
    for query in queries:
        plain = re.sub(r"^\w+ (?:by \([^)]*\) )?\((.*)\)$", r"\1", _CHOSEN.sub("", query.expr))
        for alert in alerts:
            for number in re.findall(_ABOVE % re.escape(plain), alert.expr):
                limits[math.prod(map(float, number.split("*")))] = _COLOURS[alert.severity]
    # Above nothing at all: a line at 0 would call everything bad.
    return {limit: colour for limit, colour in limits.items() if limit > 0}


@cache
def _runbooks() -> dict[str, str]:
    """The paragraph of each alert in docs/runbooks.md."""
    text = (_ROOT / "docs" / "runbooks.md").read_text(encoding="utf-8")
    sections = re.split(r"^#+ ", text, flags=re.MULTILINE)
    return {name: said.strip() for name, _, said in (section.partition("\n") for section in sections)}


def runbook_of(alert: Alert, panel: str, address: Callable[[str, str], str]) -> str:
    """What the runbooks say of `alert`, its links by `address`; `panel` shows the figures."""

    def link(found: re.Match[str]) -> str:
        title, place = found[1], found[2]
        for pipeline in PIPELINES:
            for other in alerts_of(pipeline):
                if place == f"#{other.name.lower()}":
                    return f"[{title}]({address(pipeline, other.name)})"
        return title if place.startswith(("#", "../")) else f"{title} (docs/{place})"

    said = re.sub(r"\[([^]]+)\]\(([^)]+)\)", link, _runbooks()[alert.name])
    return f"{said}\n\nThe figures: {panel}. Severity: {alert.severity}."
