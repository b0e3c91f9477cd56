"""The monitoring that ships with the project, and the real programs: Prometheus, promtool, node_exporter."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from deploy.grafana.registry import metrics_of
from pipelines.engine.pipeline import Pipeline
from tests.support.documents import ROOT
from tests.support.missing import missing
from tests.support.toxiproxy import free_port

DEPLOY = ROOT / "deploy" / "prometheus"
RULES = sorted(DEPLOY.glob("*.rules.yml"))
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
# What the variables of a board are replaced by.
_VARIABLES = {"$instance": ".*", "$__rate_interval": "1m"}
_PACKAGES = {"node_exporter": "prometheus-node-exporter"}
# What Prometheus and node_exporter export themselves.
FOREIGN = {"up", "ALERTS", "node_textfile_scrape_error", "node_textfile_mtime_seconds"}
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
_STOP_SECONDS = 30


def tool(name: str) -> str:
    """The path of `promtool`, `prometheus` or `node_exporter`.

    Where it is not installed the test fails in CI and is skipped elsewhere.
    """
    path = shutil.which(_PACKAGES.get(name, name))
    if path is None:
        missing(f"{name} is missing: apt-get install prometheus prometheus-node-exporter")
    return path


def promtool(*arguments: str | Path, content: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; its output is in `stdout`."""
    command = [tool("promtool"), *map(str, arguments)]
    text = None if content is None else content.decode()
    return subprocess.run(
        command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def alerts() -> list[dict[str, Any]]:
    """Every alert that ships, as its rule has it."""
    groups = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def dashboard_queries(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Where a query stands (dashboard: panel), and the query as Prometheus gets it of all its instances."""
    board = json.loads((ROOT / f"deploy/grafana/dashboards/{pipeline.name}.json").read_text())
    (chosen,) = board["templating"]["list"]
    found = re.fullmatch(r"label_values\((.+), \w+\)", chosen["query"])
    assert found, chosen
    yield f"{pipeline.name}.json: ${chosen['name']}", found[1]
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"]
            for name, value in _VARIABLES.items():
                query = query.replace(name, value)
            assert "$" not in query, query
            yield f"{pipeline.name}.json: {panel['title']}", query


def metrics_in(query: str) -> set[str]:
    """The names of the metrics that a PromQL expression reads."""
    bare = re.sub(r"\"[^\"]*\"|'[^']*'|\{[^}]*\}|\[[^]]*\]", " ", re.sub(r"\{[^}]*\}", " ", query))
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    names = re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", bare)
    return {name for name in names if name not in _KEYWORDS}


def exported(text: str) -> set[str]:
    """Every name that a metrics page can have, also of those that have no value yet."""
    names = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE):
        names |= {f"{name}_{end}" for end in ("bucket", "count", "sum")} if kind == "histogram" else {name}
    return names


def queries_of(pipeline: Pipeline) -> list[tuple[str, str]]:
    """What is asked of its metrics: the name of each alert or panel, and its query."""
    rules = [rule for rule in alerts() if rule["alert"].startswith(pipeline.name.capitalize())]
    assert rules, f"{pipeline.name} has no alerts"
    return [*((rule["alert"], rule["expr"]) for rule in rules), *dashboard_queries(pipeline)]


def lacking_metrics(pipeline: Pipeline, page: str) -> dict[str, set[str]]:
    """Of each alert and panel, the metrics that `page` lacks, if any; and what is served and not declared."""
    known = {name: metric.kind for name, metric in metrics_of(pipeline.name).items()}
    served = dict(re.findall(r"^# TYPE (\S+) (\w+)$", page, re.MULTILINE))
    missing = {where: metrics_in(query) - exported(page) - FOREIGN for where, query in queries_of(pipeline)}
    missing["deploy/grafana/registry.py"] = {name for name in served if known.get(name) != served[name]}
    return {where: lacking for where, lacking in missing.items() if lacking}


class Server:
    """A program that answers HTTP on a port of its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def get(self, path: str, **parameters: str) -> requests.Response | None:
        """The answer, or None while nobody answers, or not yet."""
        try:
            answer = requests.get(f"http://127.0.0.1:{self.port}{path}", params=parameters, timeout=10)
        except requests.ConnectionError:
            return None
        return None if answer.status_code == requests.codes.service_unavailable else answer

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus says now, as a list of metric and value."""
        answer = self.get("/api/v1/query", query=expression)
        if answer is None:
            return []
        content = answer.json()
        assert content["status"] == "success", content
        return list(content["data"]["result"])

    def is_firing(self, alert: str) -> bool:
        """Whether Prometheus would tell an Alertmanager."""
        return bool(self.query(f'ALERTS{{alertname="{alert}", alertstate="firing"}}'))


@contextmanager
def node_exporter(folder: Path) -> Iterator[Server]:
    """Debian's node_exporter with nothing but the textfiles of `folder`."""
    port = free_port()
    with _running(
        [
            tool("node_exporter"),
            f"--web.listen-address=127.0.0.1:{port}",
            "--collector.disable-defaults",
            "--collector.textfile",
            f"--collector.textfile.directory={folder}",
        ]
    ) as process:
        yield Server(process, port)


@contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[Server]:
    """Debian's Prometheus with the configuration that ships, in a hurry.

    `targets` replaces the ports of the jobs; everything is scraped every two seconds and judged each second,
    and no alert waits longer than a second before it fires.
    """
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
    for name in config["rule_files"]:
        rules = (DEPLOY / name).read_text()
        (folder / name).write_text(re.sub(r"^(\s+for:) \w+$", r"\1 1s", rules, flags=re.MULTILINE))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    with _running(
        [
            tool("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
    ) as process:
        yield Server(process, port)


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)
