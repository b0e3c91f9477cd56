"""The alert rules and the dashboards: valid, tested, explained, and about metrics that exist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.alerts import alerts_of
from deploy.grafana.boards import home_of
from pipelines.catalog import PIPELINES
from tests.support.documents import ROOT, anchors
from tests.support.monitoring_stack import (
    DASHBOARDS,
    DEPLOY,
    RULES,
    alerts,
    dashboard_queries,
    exported,
    metrics_in,
    promtool,
)

TESTS = sorted((DEPLOY / "tests").glob("*.test.yml"))
ALERTS = alerts()
NAMES = [rule["alert"] for rule in ALERTS]
RUNBOOKS = "docs/runbooks.md"
# The units of Grafana that these dashboards use, by what the metric's name must say.
UNITS = {"s": "_seconds", "bytes": "_bytes"}
# How the metrics of a pipeline come to Prometheus, and what is left of them after a death in the 30th minute:
# the job, `up`, the count of batches, the last poll, the interval. Any may be scraped by health's job.
_GONE, _STAYS = "1x29 stale", "1x99"
_POLLS = "0+60x29"
DEATHS = {
    "an endpoint of a known address": ("health-analytics", "1x29 0x70", _GONE, f"{_POLLS} stale", _GONE),
    "an endpoint that was found": ("pods", _GONE, _GONE, f"{_POLLS} stale", _GONE),
    "a file": ("node", _STAYS, _STAYS, f"{_POLLS} 1740x70", _STAYS),
    "a file, and what reads it died too": ("node", "1x29 0x70", _GONE, f"{_POLLS} stale", _GONE),
    "a file that was removed": ("node", _STAYS, _GONE, f"{_POLLS} stale", _GONE),
    "pushed": ("pushgateway", _STAYS, _STAYS, f"{_POLLS} 1740x70", _STAYS),
}


def _cases(alert: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every test of one alert with the group of series it stands in."""
    for group in _groups():
        for case in group["alert_rule_test"]:
            if case["alertname"] == alert:
                yield group, case


@cache
def _groups() -> list[dict[str, Any]]:
    return [group for file in TESTS for group in yaml.safe_load(file.read_text())["tests"]]


def test_configuration_and_rules_are_valid() -> None:
    """promtool reads the scrape configuration and every rule file it names; no rule file is left out."""
    checked = promtool("check", "config", DEPLOY / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout
    named = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["rule_files"]
    assert sorted(named) == [file.name for file in RULES]
    assert len(NAMES) == len(set(NAMES)) >= 10


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_the_rules_do_what_their_tests_say(file: Path) -> None:
    """promtool's own unit tests: firing with this text, not firing, no data, stale."""
    run = promtool("test", "rules", file)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("alert", NAMES)
def test_every_alert_is_tested_all_four_ways(alert: str) -> None:
    """Firing; quiet with data; without any data; and when its series are gone."""
    ways = set()
    for group, case in _cases(alert):
        stale = any("stale" in series["values"] for series in group["input_series"])
        if case["exp_alerts"]:
            ways.add("firing")
        elif group["input_series"]:
            ways.add("quiet")
        ways.update({"no data"} if not group["input_series"] else {"stale"} if stale else ())
    assert ways == {"firing", "quiet", "no data", "stale"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_is_explained(rule: dict[str, Any]) -> None:
    """A severity, a summary, a description, a section of the runbooks, the panel with its figures."""
    assert rule["labels"]["severity"] in {"critical", "warning"}
    notes = rule["annotations"]
    assert notes["summary"]
    assert notes["description"].endswith(".")
    assert notes["runbook"] == f"{RUNBOOKS}#{rule['alert'].lower()}"
    assert rule["alert"].lower() in anchors(ROOT / RUNBOOKS)
    pipeline = next(name for name in PIPELINES if rule["alert"].startswith(name.capitalize()))
    (alert,) = [each for each in alerts_of(pipeline) if each.name == rule["alert"]]
    assert notes["panel"] == home_of(pipeline, alert)


def test_every_runbook_has_its_alert() -> None:
    """A section of a rule that was removed goes too."""
    text = (ROOT / RUNBOOKS).read_text()
    sections = [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")]
    assert sorted(sections) == sorted(NAMES)


def test_dashboard_queries_are_valid(tmp_path: Path) -> None:
    """promtool reads each of them as the rule of a recording."""
    found = [query for pipeline in PIPELINES.values() for _, query in dashboard_queries(pipeline)]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(found)]
    assert len(rules) > 80
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_dashboards_are_sound(file: Path) -> None:
    """Ids are unique, panels do not overlap, units fit the metrics, the data source is provisioned."""
    board = json.loads(file.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    provisioned = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text()
    )
    uid = provisioned["datasources"][0]["uid"]
    for panel in panels:
        if panel["type"] in {"row", "text"}:
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": uid}
        unit = panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            said = UNITS.get(unit, "")
            assert said in target["expr"], (panel["title"], unit)


def _told_of(name: str, way: str) -> dict[str, Any]:
    """A test of promtool: after a death of the pipeline `name` alerts of it, and of no other, fire."""
    job, *values = DEATHS[way]
    own = ("batch_duration_seconds_count", "last_poll_timestamp_seconds", "batch_interval_seconds")
    metrics = ("up", *(f"{name}_{each}" for each in own))
    series = [
        {"series": f'{metric}{{instance="a",job="{job}"}}', "values": shown}
        for metric, shown in zip(metrics, values, strict=True)
    ]
    mine = f'ALERTS{{alertstate="firing",severity="critical",alertname=~"{name.capitalize()}.+"}}'
    others = f'ALERTS{{alertname!~"{name.capitalize()}.+"}}'
    expected = {f"group({mine}) or vector(0)": 1, f"count({others}) or vector(0)": 0}
    return {
        "name": f"{name}: {way}",
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {"expr": expr, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": value}]}
            for minute, samples in ((29, dict.fromkeys(expected, 0)), (50, expected))
            for expr, value in samples.items()
        ],
    }


def test_a_pipeline_that_died_is_told_however_its_metrics_come_and_no_other_is(tmp_path: Path) -> None:
    """Who runs one pipeline hears of it, and nothing of those that are not run."""
    file = tmp_path / "deaths.yml"
    tests = [_told_of(name, way) for name in PIPELINES for way in DEATHS]
    rules = [str(rule) for rule in RULES]
    file.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": tests}))
    run = promtool("test", "rules", file)
    assert run.returncode == 0, run.stdout


def test_metrics_of_an_expression_are_found() -> None:
    """The check that every metric exists, in tests/acceptance/test_prometheus.py, can fail."""
    query = (
        'sum by (le, query) (rate(a_bucket{x="c_total"}[5m])) > on (i) b_seconds and time() - d{e=~"f"} > 3'
    )
    assert metrics_in(query) == {"a_bucket", "b_seconds", "d"}
    page = "# HELP a Help\n# TYPE a histogram\n# HELP d Help\n# TYPE d gauge\nd 3.0\n"
    assert exported(page) == {"a_bucket", "a_count", "a_sum", "d"}
