"""compose.yaml: valid for docker compose itself, and true about this checkout."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from main import app
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from simulation.ecommerce import events
from simulation.esports import messages
from simulation.health import people
from simulation.stock import shop
from tests.support.compose import OURS, PASSWORDS, compose, ours, services
from tests.support.deployment import (
    DEPLOY,
    PROJECT_VERSION,
    last,
    stages,
    unknown_variables,
    variables,
)
from tests.support.documents import ROOT, blocks
from tests.support.monitoring_stack import RULES, promtool

# The service of each pipeline, the servers that its profile brings, and who invents records in its demo.
_SERVICES = {"health": "job", "ecommerce": "ecommerce", "esports": "esports", "stock": "stock"}
_SERVERS = {"health": {"mongo"}, "ecommerce": {"postgres"}, "esports": {"kafka"}, "stock": {"kafka", "mongo"}}
_INVENTORS = {"health": "people", "ecommerce": "events", "esports": "season", "stock": "sales"}
_ALWAYS = {"dashboard", "prometheus", "grafana"}


def _has_health_check(name: str) -> bool:
    """Its own, or that of the image that it is built as."""
    service = services()[name]
    if "healthcheck" in service:
        return not service["healthcheck"].get("disable")
    return any(word == "HEALTHCHECK" for word, _ in stages()[service["build"]["target"]])


def test_docker_compose_accepts_it() -> None:
    """Without a warning; a profile brings a pipeline and its servers, with demo- also who invents records."""
    run = compose("--quiet")
    assert (run.returncode, run.stderr) == (0, "")
    profiles = {name: set(service.get("profiles", [])) for name, service in services().items()}
    assert {name for name, of in profiles.items() if not of} == _ALWAYS
    assert set(_SERVICES) == set(_SERVERS) == set(_INVENTORS) == set(PIPELINES)
    for pipeline, service in _SERVICES.items():
        brought = {name for name, of in profiles.items() if pipeline in of}
        assert brought == {service, *_SERVERS[pipeline]}
        assert {name for name, of in profiles.items() if f"demo-{pipeline}" in of} == {
            *brought,
            _INVENTORS[pipeline],
        }
        words = json.loads(last("job", "CMD")) if pipeline == DEFAULT_PIPELINE else None
        assert (services()[service].get("command") or words) == ["python", "main.py"] + (
            [] if words else ["--pipeline", pipeline]
        )
        # What is waited for is there with the same profiles, or need not be.
        for name in {*brought, *_ALWAYS}:
            for other, how in services()[name].get("depends_on", {}).items():
                assert other in {*brought, *_ALWAYS} or not how["required"]


@pytest.mark.parametrize("password", PASSWORDS)
def test_no_password_has_a_default(password: str) -> None:
    """Without one nothing starts, and the message names it and the page."""
    run = compose("--quiet", without=password)
    assert run.returncode != 0
    assert f"required variable {password} is missing a value: see docs/deployment.md" in run.stderr


def test_the_documented_command_makes_the_passwords(tmp_path: Path) -> None:
    """All of them, in a file for its owner alone, and as they may stand in an address."""
    block = next(block for block in blocks(ROOT / "docs" / "deployment.md") if "openssl" in block.text)
    command = next(line for line in block.text.splitlines() if "openssl" in line)
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    lines = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    assert lines.pop("COMPOSE_PROFILES") in PIPELINES
    assert sorted(lines) == PASSWORDS
    assert len(set(lines.values())) == len(PASSWORDS)
    assert all(re.fullmatch("[0-9a-f]{48}", value) for value in lines.values())
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_what_our_services_are_given_exists() -> None:
    """Variables are settings, commands are known with their options, targets are stages."""
    known = {"main.py": app}
    for module in (events, messages, people, shop):
        known[module.__name__] = typer.Typer()
        known[module.__name__].command()(module.main)
    for name, service in ours().items():
        assert unknown_variables(service.get("environment", {})) == set(), name
        assert service["build"]["target"] in stages()
        assert (Path(service["build"]["context"]) / service["build"]["dockerfile"]).is_file()
        command = service.get("command") or json.loads(last(service["build"]["target"], "CMD"))
        script, *arguments = [word for word in command if word not in ("python", "-m", "streamlit", "run")]
        if script in known:
            context = typer.main.get_command(known[script]).make_context(script, arguments)
            # One that can write files too is told not to where it is given a broker.
            assert (
                context.params.get("kafka", True) or "KAFKA_BOOTSTRAP_SERVERS" not in service["environment"]
            )
        else:
            assert (ROOT / script).is_file()


def test_what_is_mounted_exists() -> None:
    """Folders and files of this checkout, read-only; what is written goes into a named volume."""
    for name, service in services().items():
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                assert Path(mount["source"]).exists(), mount
                assert Path(mount["source"]).is_relative_to(DEPLOY)
                assert mount["read_only"], (name, mount)
            else:
                assert mount["type"] == "volume"
    writers = [services()[name] for name in ("events", *_SERVICES.values())]
    assert {writer["volumes"][0]["target"] for writer in writers} == {last("job", "VOLUME")}
    dashboard = services()["dashboard"]
    # But for what the accountant enters, in a folder that belongs to the image's user.
    *_, accounting = dashboard["volumes"]
    assert [mount.get("read_only", False) for mount in dashboard["volumes"]] == [True, True, False]
    assert dashboard["environment"]["SQLITE_DB_PATH"].startswith(f"{accounting['target']}/")
    owned = "install --directory --owner app --group app --mode 0750 /data"
    assert any(
        f"{owned} {accounting['target']}" in rest for name, rest in stages()["dashboard"] if name == "RUN"
    )
    places = {mount["source"]: mount["target"] for mount in dashboard["volumes"]}
    written = str(variables("job")["ESPORTS_OUTPUT_PATH"]).removeprefix(last("job", "VOLUME"))
    assert dashboard["environment"]["ESPORTS_OUTPUT_PATH"] == places["esports"] + written


def test_versions_are_pinned_and_ours_is_that_of_the_project() -> None:
    """By tag, for people, and by digest, which nobody can move; ours are built here."""
    base = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for image in (*base, *(service["image"] for service in services().values())):
        _, tag, digest = re.findall(r"^([\w/-]+):(v?\d+\.\d+[\w.-]*)(@sha256:[0-9a-f]{64})?$", image)[0]
        assert bool(digest) != bool(OURS.match(image)), image
        assert tag == PROJECT_VERSION or not OURS.match(image)


def test_every_service_is_watched_and_limited() -> None:
    """A health check, a limit of memory, a restart; whoever is waited for can tell that it is healthy."""
    for name, service in services().items():
        assert _has_health_check(name) or name in _INVENTORS.values()
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
    for name in _SERVICES.values():
        assert services()[name]["stop_grace_period"] == f"{seconds // 60}m{seconds % 60}s"


def test_programs_are_given_the_brokers_own_addresses() -> None:
    """Those inside by the service's name; the one for this machine is published there."""
    broker = services()["kafka"]
    advertised = dict(
        each.split("://") for each in broker["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    )
    settings = {service.get("environment", {}).get("KAFKA_BOOTSTRAP_SERVERS") for service in ours().values()}
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
    jobs = {_SERVICES.get(job["job_name"], "job"): job for job in here["scrape_configs"]}
    assert jobs["job"]["job_name"] == alone["scrape_configs"][0]["job_name"]
    assert set(jobs) == set(_SERVICES.values()) <= set(ours())
    for service, job in jobs.items():
        found = {"names": [service], "type": "A", "port": int(last("job", "EXPOSE"))}
        assert job["dns_sd_configs"] == [found]
    mount = services()["prometheus"]["volumes"][0]
    assert mount["source"] == str(DEPLOY / "prometheus")
    assert f"--config.file={mount['target']}/compose.yml" in services()["prometheus"]["command"]


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    """The provisioning that ships, at the places where Grafana and that provisioning look."""
    service = services()["grafana"]
    places = {mount["target"]: mount["source"] for mount in service["volumes"]}
    assert places["/etc/grafana/provisioning"] == str(DEPLOY / "grafana" / "provisioning")
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/health.yml").read_text())
    boards = Path(places[provider["providers"][0]["options"]["path"]])
    assert list(boards.glob("*.json"))
    assert service["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
