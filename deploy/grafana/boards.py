"""Makes a board of Grafana for each pipeline, of its metrics, alerts and runbooks: script/grafana-boards."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.grafana.alerts import Alert, alerts_of, limits_of, runbook_of
from deploy.grafana.panels import Panel, rows
from deploy.grafana.queries import Names, Query, usual
from deploy.grafana.registry import metrics_of
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from pipelines.engine.pipeline import Pipeline

FOLDER = Path(__file__).parent / "dashboards"
_TAG = "spark-health-analytics"
_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_COLOURS = ("orange", "red")
_HEIGHTS = {"stat": 4, "row": 1}
_OPTIONS: dict[str, dict[str, Any]] = {
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "graphMode": "none"},
    "bargauge": {"reduceOptions": {"calcs": ["lastNotNull"]}, "orientation": "horizontal"},
}


def uid_of(pipeline: str) -> str:
    """The address of the board of `pipeline`: /d/UID."""
    return "health-analytics" if pipeline == DEFAULT_PIPELINE else pipeline


def panel_id(title: str) -> int:
    """The number of the panel or runbook `title`: the same on each board, whatever comes before it."""
    return zlib.crc32(title.encode()) % 1_000_000


def address(pipeline: str, title: str) -> str:
    """Where one panel of the board of `pipeline` is shown alone."""
    return f"/d/{uid_of(pipeline)}?viewPanel={panel_id(title)}"


class _Board:
    """A board that is being made, from the top left."""

    def __init__(self, one: Pipeline) -> None:
        self.one = one
        self.names = Names(one.name, metrics_of(one.name))
        self.alerts = alerts_of(one.name)
        self.rows = list(rows(one))
        self.rows.append(("Other figures", self._others()))
        self.homes = {alert.name: self._home(alert) for alert in self.alerts}
        self.panels: list[dict[str, Any]] = []
        self._x = self._y = self._height = 0

    def made(self) -> dict[str, Any]:
        """The board as Grafana reads it."""
        for title, panels in self.rows:
            if title:
                self._row(title)
            for panel in panels:
                self._place(self._shown(panel), panel.width)
        self._row("What to do")
        for alert in self.alerts:
            options = {"mode": "markdown", "content": runbook_of(alert, self._see(alert), address)}
            self._place({"type": "text", "title": alert.name, "options": options}, 12)
        return _board(uid_of(self.one.name), _title(self.one), self._chooser(), self.panels)

    def _home(self, alert: Alert) -> str:
        """The title of the panel, the first of several, that shows what an alert looks at first."""
        panels = {panel.title: self._asked(panel) for _, panels in self.rows for panel in panels}
        return next(
            (title for name in alert.metrics for title, asked in panels.items() if name in asked),
            "Alerts firing",
        )

    def _asked(self, panel: Panel) -> set[str]:
        return {
            each for query in self._queries(panel)[1] for each in (*self.names.of(query.expr), *_ups(query))
        }

    def _others(self) -> list[Panel]:
        """A panel for each metric that no other one shows, so that none is forgotten."""
        shown = {name for _, panels in self.rows for panel in panels for name in self._asked(panel)}
        left = [name for name in self.names.metrics if name not in shown]
        return [Panel(_words(name.removeprefix(f"{self.one.name}_")), name) for name in left]

    def _queries(self, panel: Panel) -> tuple[str, list[Query], str]:
        """The unit, the queries and the text of a panel."""
        if isinstance(panel.shows, str):
            name = next(
                each for each in (f"{self.one.name}_{panel.shows}", panel.shows) if each in self.names.metrics
            )
            unit, queries = usual(name, self.names.metrics[name])
            return panel.unit or unit, queries, panel.text or self.names.metrics[name].text + "."
        filled = [Query(self.names.filled(query.expr), query.legend) for query in panel.shows]
        return panel.unit or "short", filled, panel.text

    def _shown(self, panel: Panel) -> dict[str, Any]:
        unit, queries, text = self._queries(panel)
        defaults: dict[str, Any] = {"unit": unit, "min": 0}
        limits = dict(zip(panel.limits, _COLOURS, strict=False)) or limits_of(queries, self.alerts)
        if limits:
            steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
            steps += [{"color": colour, "value": limit} for limit, colour in sorted(limits.items())]
            defaults["thresholds"] = {"mode": "absolute", "steps": steps}
            if panel.kind == "timeseries":
                defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
        return {
            "type": panel.kind,
            "title": panel.title,
            "description": text,
            "links": [
                {"title": f"What to do: {alert.name}", "url": address(self.one.name, alert.name)}
                for alert in self.alerts
                if self.homes[alert.name] == panel.title
            ],
            "datasource": _SOURCE,
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": _OPTIONS.get(panel.kind, {}),
            "targets": [
                {"refId": chr(ord("A") + number), "expr": query.expr, "legendFormat": query.legend}
                for number, query in enumerate(queries)
            ],
        }

    def _see(self, alert: Alert) -> str:
        title = self.homes[alert.name]
        return f"[{title}]({address(self.one.name, title)})"

    def _row(self, title: str) -> None:
        self._x, self._y, self._height = 0, self._y + self._height, 0
        self._place({"type": "row", "title": title, "collapsed": False, "panels": []}, 24)

    def _place(self, panel: dict[str, Any], width: int) -> None:
        if self._x + width > 24:
            self._x, self._y, self._height = 0, self._y + self._height, 0
        height = _HEIGHTS.get(panel["type"], 8)
        place = {"x": self._x, "y": self._y, "w": width, "h": height}
        self.panels.append(
            {
                "id": panel_id(("row " if panel["type"] == "row" else "") + panel["title"]),
                **panel,
                "gridPos": place,
            }
        )
        self._x, self._height = self._x + width, max(self._height, height)

    def _chooser(self) -> dict[str, Any]:
        return {
            "name": "instance",
            "label": "Instance",
            "type": "query",
            "datasource": _SOURCE,
            "query": f"label_values({self.names.full('batches_processed_total')}, instance)",
            "refresh": 2,
            "multi": True,
            "includeAll": True,
            "current": {"text": "All", "value": "$__all"},
        }


def _ups(query: Query) -> Iterator[str]:
    """What Prometheus itself says of a target."""
    if query.expr.startswith("up{"):
        yield "up"


def _title(one: Pipeline) -> str:
    return "Health analytics" if one.name == DEFAULT_PIPELINE else f"{one.title} pipeline"


def _words(name: str) -> str:
    return name.removesuffix("_total").replace("_", " ").capitalize()


def _board(
    uid: str, title: str, chooser: dict[str, Any] | None, panels: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    others = {
        "type": "dashboards",
        "title": "Other pipelines",
        "tags": [_TAG],
        "asDropdown": True,
        "keepTime": True,
    }
    return {
        "uid": uid,
        "title": title,
        "tags": [_TAG],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "timezone": "utc",
        "time": {"from": "now-6h", "to": "now"},
        "links": [others],
        "templating": {"list": [chooser] if chooser else []},
        "panels": panels,
    }


def home_of(pipeline: str, alert: Alert) -> str:
    """The address of the panel that shows what `alert` looks at."""
    return address(pipeline, _Board(PIPELINES[pipeline]).homes[alert.name])


def boards() -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each file, and the board in it."""
    for one in PIPELINES.values():
        yield f"{one.name}.json", _Board(one).made()
    # The address of the one board that these three had before.
    lines = [f"- [{one.title}](/d/{uid_of(one.name)})" for one in PIPELINES.values() if one.prefixed]
    text = {
        "id": 1,
        "type": "text",
        "title": "A board for each pipeline",
        "gridPos": {"x": 0, "y": 0, "w": 24, "h": 6},
        "options": {"mode": "markdown", "content": "\n".join(lines)},
    }
    yield "sisters.json", _board("sister-pipelines", "E-commerce, esports, stock", None, [text])


def written(board: dict[str, Any]) -> str:
    """The text of a board's file."""
    return json.dumps(board, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files anew; one that nothing makes any more goes."""
    made = {name: written(board) for name, board in boards()}
    for file in FOLDER.glob("*.json"):
        if file.name not in made:
            file.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
