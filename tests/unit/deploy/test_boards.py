"""Grafana's boards: made of what there is, with data in each panel, and links that lead somewhere."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.alerts import Alert, alerts_of, limits_of
from deploy.grafana.boards import FOLDER, boards, written
from deploy.grafana.queries import Names, Query
from deploy.grafana.registry import metrics_of
from pipelines.catalog import PIPELINES
from tests.support.deployment import with_schemas
from tests.support.documents import ROOT
from tests.support.monitoring_stack import FOREIGN, dashboard_queries, metrics_in, promtool

_BOARDS = {name.removesuffix(".json"): board for name, board in boards()}
# Grafana's own models drop what they do not know; what comes back must hold what went in.
_AS_GRAFANA_READS_IT = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
register_default_plugins()
print(json.dumps(Dashboard.from_json(json.load(sys.stdin)), cls=JSONEncoder))
"""


def _labels_in(query: str) -> set[str]:
    """The labels by which a query chooses or groups."""
    grouped = [name for names in re.findall(r"\bby \(([^)]*)\)", query) for name in names.split(", ")]
    return {*grouped, *re.findall(r"(\w+)=~?\"", query)}


def test_the_files_are_what_the_program_makes() -> None:
    """Metrics, alerts or runbooks have changed: script/grafana-boards writes them anew."""
    made = {name: written(board) for name, board in boards()}
    assert {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")} == made


@pytest.mark.parametrize("name", PIPELINES)
def test_every_metric_is_shown_with_labels_that_it_has(name: str) -> None:
    """A board lacks no metric of its pipeline, names no other, and groups by labels that all of them have."""
    shown = set()
    for where, query in dashboard_queries(PIPELINES[name]):
        named = {re.sub(r"_(bucket|count|sum)$", "", each) for each in metrics_in(query)} - FOREIGN
        assert named <= set(metrics_of(name)), where
        shown |= named
        for each in named:
            own = {*metrics_of(name)[each].labels, "instance", "job"}
            own |= {"le"} if metrics_of(name)[each].kind == "histogram" else set()
            assert _labels_in(query) <= own, where
    assert shown == set(metrics_of(name))


def test_a_name_that_no_metric_has_is_refused() -> None:
    """Neither a metric of another pipeline, nor a histogram without the part that is meant."""
    names = Names("stock", metrics_of("stock"))
    assert names.filled('@dlq_letters{a="b"}') == 'stock_dlq_letters{instance=~"$instance", a="b"}'
    for wrong in ("poll_lag_seconds", "batch_duration_seconds", "dlq_letters_sum"):
        with pytest.raises(KeyError, match=wrong):
            names.full(wrong)


def _series(name: str) -> list[dict[str, str]]:
    """One series of each metric of a pipeline, as promtool takes it, with something in each label."""
    found = [
        {
            "series": f'up{{instance="a",job="{"health-analytics" if name == "health" else name}"}}',
            "values": "1x30",
        }
    ]
    for full, metric in metrics_of(name).items():
        labels = "".join(f',{label}="x"' for label in metric.labels)
        ends = {"_bucket": ',le="+Inf"', "_sum": "", "_count": ""} if metric.kind == "histogram" else {"": ""}
        values = "1x30" if metric.kind == "gauge" else "0+60x30"
        found += [
            {"series": f'{full}{end}{{instance="a"{labels}{more}}}', "values": values}
            for end, more in ends.items()
        ]
    return found


@pytest.mark.parametrize("name", PIPELINES)
def test_every_query_has_an_answer_where_every_metric_is(name: str, tmp_path: Path) -> None:
    """Prometheus' own engine, half an hour after the start: none is empty by its own fault."""
    asked = [
        {"expr": f"clamp_max(count({query}), 1)", "eval_time": "30m"}
        for _, query in dashboard_queries(PIPELINES[name])
    ]
    test = {
        "interval": "1m",
        "input_series": _series(name),
        "promql_expr_test": [{**each, "exp_samples": [{"labels": "{}", "value": 1}]} for each in asked],
    }
    file = tmp_path / "boards.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    run = promtool("test", "rules", file)
    assert run.returncode == 0, run.stdout


def test_every_link_leads_to_a_panel_that_is_there() -> None:
    """From alerts to panels, from panels to what to do, and from there to others; old addresses stay."""
    ids = {(board["uid"], panel["id"]) for board in _BOARDS.values() for panel in board["panels"]}
    rules = [file.read_text() for file in (ROOT / "deploy" / "prometheus").glob("*.rules.yml")]
    text = "\n".join([*map(json.dumps, _BOARDS.values()), *rules])
    links = {(uid, int(panel)) for uid, panel in re.findall(r"/d/([\w-]+)\?viewPanel=(\d+)", text)}
    assert len(links) > 70
    assert links <= ids
    uids = {board["uid"] for board in _BOARDS.values()}
    assert uids >= {"health-analytics", "sister-pipelines", *re.findall(r"\(/d/(\w+)\)", text)}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_board_says_what_to_do_about_each_alert(name: str) -> None:
    """The runbook of each alert stands there, and a panel leads to it."""
    texts = {
        panel["title"]: panel["options"]["content"]
        for panel in _BOARDS[name]["panels"]
        if panel["type"] == "text"
    }
    led = [link["title"] for panel in _BOARDS[name]["panels"] for link in panel.get("links", ())]
    assert sorted(led) == sorted(f"What to do: {alert.name}" for alert in alerts_of(name))
    for alert in alerts_of(name):
        assert re.search(r"[.)`] ?\n\nThe figures: \[", texts[alert.name]), alert.name


@pytest.mark.parametrize(
    ("shown", "rule", "limits"),
    [
        ("m", "m > 300", {300: "orange"}),
        ("sum by (a) (m)", "m > 1e3 and m > 300", {300: "orange"}),
        ("time() - m", "time() - m > 7 * 86400", {604800: "orange"}),
        ("m", "time() - m > 300", {}),
        ("m", "n / m > 0.9", {}),
        ("m", "m > 0.05 * increase(n[5m])", {}),
        ("m", "m > 0", {}),
        ("m", "nm > 3 or m > n", {}),
    ],
)
def test_limits_are_those_of_the_alerts(shown: str, rule: str, limits: dict[float, str]) -> None:
    """Of plain numbers that the very same figure is compared with."""
    query = Query(shown.replace("m", 'm{instance=~"$instance"}', 1) if shown.startswith("m") else shown)
    assert limits_of([query], [Alert("A", "warning", rule, ())]) == limits


def _kept(given: Any, back: Any) -> bool:
    """Whether `back` holds all of `given`, but for what is nothing."""
    if isinstance(given, dict):
        return all(not value or _kept(value, back.get(key)) for key, value in given.items())
    if isinstance(given, list):
        return len(given) == len(back) and all(map(_kept, given, back))
    return bool(given == back)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the kit needs Python 3.11")
@pytest.mark.parametrize("name", _BOARDS)
def test_grafanas_own_models_know_every_field(name: str) -> None:
    """Those of the kit that its makers derive from the schemas: nothing is refused, nothing is dropped."""
    board = _BOARDS[name]
    assert _kept(board, json.loads(with_schemas(_AS_GRAFANA_READS_IT, board)))
    assert not _kept({**board, "titel": "x"}, board), "the check can fail"
