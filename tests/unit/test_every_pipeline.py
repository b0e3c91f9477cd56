"""Whatever lists the pipelines one by one, and cannot ask the catalog, has each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from importlinter.api import read_configuration

from analytics.esports.rules import DATASETS
from contracts import ConfigurationError
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from pipelines.engine.pipeline import Benchmark, Pipeline
from settings import Settings, load
from sinks.stock import archive
from tests.support.documents import ROOT
from tests.support.monitoring_stack import DEPLOY
from tests.support.rooms import judged, room
from tests.toy import TOY

_LAYERS = ("analytics", "contracts", "monitoring", "pipelines", "simulation", "sinks", "sources")


def _told(one: Pipeline) -> Iterator[tuple[str, str]]:
    """Each file that tells of every pipeline, and a pattern of what it says of `one`."""
    name, title, default = one.name, one.title.lower(), one.name == DEFAULT_PIPELINE
    page = "this one" if default else rf"\[docs/{name}\.md\]\(docs/{name}\.md\)"
    yield "README.md", rf"^\| `{name}`.*\| {page} \|$"
    yield "CONTRIBUTING.md", rf"^\| {title} \| `analytics/{name}/"
    yield "docs/architecture.md", rf"^ +\w+\[{name}\]$"
    yield "docs/deployment.md", rf"\b{title}\b"
    yield "docs/glossary.md", rf"^\| pipeline \|.*\b{title}\b"
    yield "docs/operations.md", rf"^./pulse {'' if default else f'{name} '}check +#"
    yield "docs/results.md", rf"^## {one.title}: "
    yield "docs/runbooks.md", rf"\(\.\./deploy/prometheus/{name}\.rules\.yml\)"
    yield "deploy/prometheus/prometheus.yml", rf"^  - {name}\.rules\.yml$"
    yield "deploy/compose.yaml", "^  job:$" if default else rf"^  {name}:\n    <<: \*job$"
    manifest = f"deploy/kubernetes/{'spark-application' if default else name}.yaml"
    yield manifest, rf"^  name: {'health-analytics' if default else name}$"
    yield "deploy/prometheus/compose.yml", rf"^  - job_name: {'health-analytics' if default else name}$"
    yield f"deploy/grafana/dashboards/{name}.json", rf'"uid": "{"health-analytics" if default else name}"'
    yield "script/smoke", rf"/test_{'' if default else f'{name}_'}stream\.py::"
    yield "tests/contract/systems/__init__.py", rf"import {name.capitalize()}$"
    yield ".env.example", rf"^# {name}: {', '.join(one.steps)}$"
    for topic in one.topics:
        yield ".env.example", rf"^{topic}=\S+$"
    if one.demo:
        yield "script/demo", rf"^#   script/demo {'' if default else f'--pipeline {name}'} "
    if one.demo_pages:
        yield "docs/dashboard.md", rf"script/dashboard --demo {'' if default else f'--pipeline {name}'} "
    if one.benchmark:
        yield "script/bench", rf"^#   script/bench {'' if default else name} "
    for shown in one.pages(load(env_file=None, mongo_uri="mongomock://pages")).pages if one.pages else ():
        yield "docs/dashboard.md", rf"^\| ([^|]+, )?{shown.title}(, [^|]+)? \|"


def _is_told(file: str, pattern: str) -> bool:
    path = ROOT / file
    return path.is_file() and bool(re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("one", PIPELINES.values(), ids=PIPELINES)
def test_no_list_of_the_pipelines_lacks_one(one: Pipeline) -> None:
    """Documents, settings, scripts and the scrape configuration say of it what it declares."""
    lacking = [f"{file} has no line {line}" for file, line in _told(one) if not _is_told(file, line)]
    assert not lacking, "\n".join(lacking)


def test_a_pipeline_that_is_forgotten_is_noticed() -> None:
    """Each pattern of the check above can fail: a pipeline that nobody knows is in none of the files."""
    new = replace(TOY, name="sixth", title="Sixth", topics=("KAFKA_TOPIC_SIXTH",), demo=print)
    new = replace(new, pages=lambda _: room("Sixth", judged(None)), demo_pages=print)
    new = replace(new, benchmark=Benchmark("benchmarks.sixth", ()))
    assert [place for place in _told(new) if _is_told(*place)] == []


@pytest.mark.parametrize("one", PIPELINES.values(), ids=PIPELINES)
def test_its_demo_can_be_struck_or_says_why_not(one: Pipeline) -> None:
    """docs/dashboard.md tells which ones can be; what stands in its place names a script that is there."""
    text = re.sub(r"\s+", " ", (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8"))
    struck = re.search(r"\*\*Break it yourself\.\*\*.*?\*\*Settings\.\*\*", text)
    assert struck
    can, _, cannot = struck.group().partition("cannot be struck")
    if one.no_rig is None:
        assert one.title.lower() in can.lower()
        return
    assert one.title.lower() in cannot.lower()
    command = re.search(r"`(script/\w+)(?: --pipeline (\w+))?`", one.no_rig)
    assert command, one.no_rig
    assert (ROOT / command[1]).is_file()
    assert (command[2] or DEFAULT_PIPELINE) == one.name
    with pytest.raises(ConfigurationError, match="This demo has no server"):
        one.rig_of()


@pytest.mark.parametrize("one", PIPELINES.values(), ids=PIPELINES)
def test_its_topics_are_settings(one: Pipeline) -> None:
    """They are declared by the names that `.env` has."""
    assert {topic.lower() for topic in one.topics} <= Settings.model_fields.keys()


def test_what_compact_merges_is_what_is_written() -> None:
    """The declared datasets are those of the rules and the sinks, which a declaration cannot import."""
    declared = {one.name: one.parquet.datasets for one in PIPELINES.values() if one.parquet}
    assert declared == {"esports": tuple(each.name for each in DATASETS), "stock": (archive.DATASET,)}


@pytest.mark.parametrize("one", PIPELINES.values(), ids=PIPELINES)
def test_it_has_alerts_of_its_own(one: Pipeline) -> None:
    """Its file of rules exists, and its alerts are called after it; test_alerts.py sees to the rest."""
    rules = DEPLOY / f"{one.name}.rules.yml"
    named = re.findall(r"- alert: (\w+)", rules.read_text(encoding="utf-8")) if rules.is_file() else []
    assert named, f"{rules.name} has no alert"
    assert [name for name in named if not name.startswith(one.name.capitalize())] == []


@pytest.mark.parametrize("name", PIPELINES)
def test_the_import_rules_know_its_rooms(name: str) -> None:
    """pyproject.toml: it imports no other system, none imports it, and neither does the engine."""
    rooms = {
        f"{layer}.{each}"
        for layer in _LAYERS
        for each in PIPELINES
        if (ROOT / layer / each).is_dir() or (ROOT / layer / f"{each}.py").is_file()
    }
    mine = {room for room in rooms if room.endswith(f".{name}")}
    contracts = {
        each["name"]: each for each in read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    }
    own = contracts[f"Of the four systems {name} knows itself alone"]
    engine = contracts["The engine, and what several systems use, know no system"]
    assert set(own["source_modules"]) == mine
    assert set(own["forbidden_modules"]) == rooms - mine
    assert mine <= set(engine["forbidden_modules"])
