"""compose.yaml: valid for docker compose itself, and true about this checkout."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from main import app
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from simulation.ecommerce import events
from simulation.esports import messages
from simulation.stock import shop
from tests.support.deployment import (
    DEPLOY,
    PROJECT_VERSION,
    last,
    stages,
    unknown_variables,
    validator,
    variables,
)
from tests.support.documents import ROOT, blocks
from tests.support.monitoring_stack import RULES, promtool

_FILE = DEPLOY / "compose.yaml"
_PASSWORDS = sorted(set(re.findall(r"\$\{(\w+)", _FILE.read_text())))
# Beside the service of its name: what each pipeline's profile brings.
_BESIDE = {"ecommerce": {"postgres", "events"}, "esports": {"kafka", "season"}, "stock": {"kafka", "sales"}}
_OURS = re.compile(r"health-analytics(-dashboard)?:")


def _compose(*arguments: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """Docker compose with a password of each name but one."""
    given = {name: f"of-{name}" for name in _PASSWORDS if name != without}
    profiles = [word for name in _BESIDE for word in ("--profile", name)]
    return validator("docker-compose", "--file", str(_FILE), *profiles, "config", *arguments, **given)


@cache
def _services() -> dict[str, dict[str, Any]]:
    run = _compose("--format", "json")
    assert run.returncode == 0, run.stderr
    services: dict[str, dict[str, Any]] = json.loads(run.stdout)["services"]
    return services


def _ours() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in _services().items() if _OURS.match(service["image"])}


def _has_health_check(name: str) -> bool:
    """Its own, or that of the image that it is built as."""
    service = _services()[name]
    if "healthcheck" in service:
        return not service["healthcheck"].get("disable")
    return any(word == "HEALTHCHECK" for word, _ in stages()[service["build"]["target"]])


def test_docker_compose_accepts_it() -> None:
    """Without a warning; each pipeline is there, and what it needs, the sisters only with their profiles."""
    run = _compose("--quiet")
    assert (run.returncode, run.stderr) == (0, "")
    profiles = {name: set(service.get("profiles", [])) for name, service in _services().items()}
    always = {"mongo", "job", "dashboard", "prometheus", "grafana"}
    assert {name for name, of in profiles.items() if not of} == always
    assert {DEFAULT_PIPELINE, *_BESIDE} == set(PIPELINES)
    for pipeline, beside in _BESIDE.items():
        assert {name for name, of in profiles.items() if pipeline in of} == {pipeline, *beside}
        assert _services()[pipeline]["command"] == ["python", "main.py", "--pipeline", pipeline]


@pytest.mark.parametrize("password", _PASSWORDS)
def test_no_password_has_a_default(password: str) -> None:
    """Without one nothing starts, and the message names it and the page."""
    run = _compose("--quiet", without=password)
    assert run.returncode != 0
    assert f"required variable {password} is missing a value: see docs/deployment.md" in run.stderr


def test_the_documented_command_makes_the_passwords(tmp_path: Path) -> None:
    """All of them, in a file for its owner alone, and as they may stand in an address."""
    block = next(block for block in blocks(ROOT / "docs" / "deployment.md") if "openssl" in block.text)
    command = next(line for line in block.text.splitlines() if "openssl" in line)
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    lines = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert sorted(lines) == _PASSWORDS
    assert len(set(lines.values())) == len(_PASSWORDS)
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in lines.values())
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_what_our_services_are_given_exists() -> None:
    """Variables are settings, commands are known with their options, targets are stages."""
    known = {"main.py": app}
    for module in (events, messages, shop):
        known[module.__name__] = typer.Typer()
        known[module.__name__].command()(module.main)
    for name, service in _ours().items():
        assert unknown_variables(service.get("environment", {})) == set(), name
        assert service["build"]["target"] in stages()
        assert (Path(service["build"]["context"]) / service["build"]["dockerfile"]).is_file()
        command = service.get("command") or json.loads(last(service["build"]["target"], "CMD"))
        script, *arguments = [word for word in command if word not in ("python", "-m", "streamlit", "run")]
        if script in known:
            typer.main.get_command(known[script]).make_context(script, arguments)
        else:
            assert (ROOT / script).is_file()


def test_what_is_mounted_exists() -> None:
    """Folders and files of this checkout, read-only; what is written goes into a named volume."""
    for name, service in _services().items():
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                assert Path(mount["source"]).exists(), mount
                assert Path(mount["source"]).is_relative_to(DEPLOY)
                assert mount["read_only"], (name, mount)
            else:
                assert mount["type"] == "volume"
    writers = [_services()[name] for name in ("job", "events", *_BESIDE)]
    assert {writer["volumes"][0]["target"] for writer in writers} == {last("job", "VOLUME")}
    dashboard = _services()["dashboard"]
    assert all(mount["read_only"] for mount in dashboard["volumes"])
    places = {mount["source"]: mount["target"] for mount in dashboard["volumes"]}
    written = str(variables("job")["ESPORTS_OUTPUT_PATH"]).removeprefix(last("job", "VOLUME"))
    assert dashboard["environment"]["ESPORTS_OUTPUT_PATH"] == places["esports"] + written


def test_versions_are_pinned_and_ours_is_that_of_the_project() -> None:
    """Never `latest`: every machine runs the same."""
    for service in _services().values():
        tag = service["image"].partition(":")[2]
        assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag), service["image"]
        assert tag == PROJECT_VERSION or not _OURS.match(service["image"])


def test_every_service_is_watched_and_limited() -> None:
    """A health check, a limit of memory, a restart; whoever is waited for can tell that it is healthy."""
    for name, service in _services().items():
        assert _has_health_check(name) or name in ("events", "season", "sales")
        assert service["restart"] == "unless-stopped"
        assert int(service["mem_limit"]) <= 3 * 2**30
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            assert _has_health_check(other)
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name


def test_a_job_has_time_to_finish_its_batch() -> None:
    """As much as systemd gives it."""
    unit = (DEPLOY / "systemd" / "health-analytics.service").read_text()
    seconds = int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0])
    for name in ("job", *_BESIDE):
        assert _services()[name]["stop_grace_period"] == f"{seconds // 60}m{seconds % 60}s"


def test_the_users_of_mongodb_are_those_of_the_addresses() -> None:
    """The script makes the users that job and dashboard log in as, with the passwords that mongo is given."""
    script = (DEPLOY / "mongo" / "users.js").read_text()
    made = dict(
        zip(re.findall(r'user: "(.+)"', script), re.findall(r"process\.env\.(\w+)", script), strict=True)
    )
    addresses = [
        _services()["job"]["environment"]["MONGO_URI"],
        _services()["dashboard"]["environment"]["DASHBOARD_MONGO_URI"],
    ]
    assert _services()["stock"]["environment"]["MONGO_URI"] == addresses[0]
    found = [
        re.findall(r"mongodb://(.+):of-(.+)@(.+):(\d+)/\?authSource=admin", address)[0]
        for address in addresses
    ]
    assert [(user, password) for user, password, _, _ in found] == list(made.items())
    assert {(host, port) for _, _, host, port in found} == {("mongo", "27017")}
    assert set(made.values()) <= set(_services()["mongo"]["environment"])


def test_programs_are_given_the_brokers_own_addresses() -> None:
    """Those inside by the service's name; the one for this machine is published there."""
    broker = _services()["kafka"]
    advertised = dict(
        each.split("://") for each in broker["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    settings = {service.get("environment", {}).get("KAFKA_BOOTSTRAP_SERVERS") for service in _ours().values()}
    assert settings - {None} == {advertised["INSIDE"]}
    assert advertised["INSIDE"].startswith("kafka:")
    (port,) = broker["ports"]
    assert advertised["OUTSIDE"] == f"localhost:{port['published']}"
    opened = {each.rpartition(":")[2] for each in broker["environment"]["KAFKA_LISTENERS"].split(",")}
    assert {each.rpartition(":")[2] for each in advertised.values()} <= opened


def test_prometheus_reads_our_rules_and_asks_our_services() -> None:
    """promtool accepts the configuration and reads every rule file; jobs are named as in the rules."""
    checked = promtool("check", "config", DEPLOY / "prometheus" / "compose.yml")
    assert checked.returncode == 0, checked.stdout
    assert all(rules.name in checked.stdout for rules in RULES)
    here, alone = (
        yaml.safe_load((DEPLOY / "prometheus" / name).read_text())
        for name in ("compose.yml", "prometheus.yml")
    )
    assert here["global"] == alone["global"]
    health, *sisters = here["scrape_configs"]
    assert health["job_name"] == alone["scrape_configs"][0]["job_name"]
    assert health["static_configs"] == [{"targets": [f"job:{last('job', 'EXPOSE')}"]}]
    assert {sister["job_name"] for sister in sisters} == set(_BESIDE)
    for sister in sisters:
        found = {"names": [sister["job_name"]], "type": "A", "port": int(last("job", "EXPOSE"))}
        assert sister["dns_sd_configs"] == [found]
    assert {"job", *_BESIDE} <= set(_ours())
    mount = _services()["prometheus"]["volumes"][0]
    assert mount["source"] == str(DEPLOY / "prometheus")
    assert f"--config.file={mount['target']}/compose.yml" in _services()["prometheus"]["command"]


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    """The provisioning that ships, at the places where Grafana and that provisioning look."""
    service = _services()["grafana"]
    places = {mount["target"]: mount["source"] for mount in service["volumes"]}
    assert places["/etc/grafana/provisioning"] == str(DEPLOY / "grafana" / "provisioning")
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/health.yml").read_text())
    boards = Path(places[provider["providers"][0]["options"]["path"]])
    assert list(boards.glob("*.json"))
    assert service["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
