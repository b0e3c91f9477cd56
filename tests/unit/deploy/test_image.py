"""The Dockerfile: sound, without secrets, all state in one volume, and everything in it that it starts."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer

from main import app
from pipelines.engine.executors import PACKAGES
from pipelines.engine.kafka_connector import connector_version
from settings import Settings
from tests.support.deployment import (
    DEPLOY,
    copy_files,
    image_files,
    last,
    stages,
    unknown_variables,
    validator,
    variables,
)
from tests.support.documents import ROOT

# Of the folder it runs in.
_IMPORT_ALL = """
import importlib, pathlib
files = [file for file in pathlib.Path().rglob("*.py") if file.name != "__init__.py"]
for file in files:
    importlib.import_module(".".join(file.with_suffix("").parts))
print(len(files))
"""


def _run_in(folder: Path, *arguments: str, **environment: str) -> str:
    """What Python prints in `folder`, from where it cannot find this checkout."""
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_hadolint_finds_nothing() -> None:
    """What it is to overlook is said, with the reason, in the Dockerfile."""
    run = validator("hadolint", str(DEPLOY / "Dockerfile"))
    assert run.returncode == 0, run.stdout + run.stderr


def test_nothing_but_the_code_gets_in() -> None:
    """Code and the names of its packages; no .env, tests, scripts, or folders that a run makes."""
    files = {str(file) for file in image_files()}
    assert {"main.py", "requirements.txt", "deploy/entrypoint", "dashboard/.streamlit/config.toml"} <= files
    assert {Path(file).suffix for file in files} <= {".py", ".ini", ".txt", ".toml", ".properties", ""}
    unwanted = re.compile(r"(.*/)?\.env|tests/|benchmarks/|script/|deploy/(?!entrypoint|healthcheck|spark/)")
    assert [file for file in files if unwanted.match(file)] == []


def test_the_code_that_gets_in_is_complete(tmp_path: Path) -> None:
    """Every module of the image can be imported where there is nothing but the image's files."""
    copy_files(image_files(), tmp_path)
    assert int(_run_in(tmp_path, "-c", _IMPORT_ALL)) > 100


def test_the_connector_can_be_fetched_with_what_its_stage_holds(tmp_path: Path) -> None:
    """Its command runs with the files copied before it; here the jars are there already."""
    patterns = {
        source.rstrip("/")
        for instruction, rest in stages()["kafka-connector"]
        if instruction == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    copy_files((file for file in image_files() if patterns & {str(file), str(file.parent)}), tmp_path)
    jars = tmp_path / "connector" / connector_version()
    jars.mkdir(parents=True)
    (jars / "there.jar").touch()
    program, *arguments = shlex.split(last("kafka-connector", "RUN"))
    assert program == "python"
    _run_in(tmp_path, *arguments, KAFKA_CONNECTOR_PATH=str(jars.parent))


def test_every_variable_is_a_setting_and_all_state_is_in_the_volume() -> None:
    """Each folder or file that a setting names lies in /data, but for the jars, which the image holds."""
    given = variables("job")
    assert unknown_variables(given) == set()
    places = {name.upper() for name, field in Settings.model_fields.items() if field.annotation is Path}
    assert len(places) > 5
    outside = {name for name in places if not given.get(name, "").startswith("/data/")}
    assert outside == {"KAFKA_CONNECTOR_PATH"}
    assert last("job", "VOLUME") == "/data"
    assert (
        f"COPY --from=kafka-connector {given['KAFKA_CONNECTOR_PATH']} " in (DEPLOY / "Dockerfile").read_text()
    )


@pytest.mark.parametrize(
    ("words", "setting", "variables", "path"),
    [
        ([], "HEALTH_PORT", {}, "/health"),
        (["dashboard"], "STREAMLIT_SERVER_PORT", {}, "/_stcore/health"),
        (["dashboard"], "STREAMLIT_SERVER_PORT", {"BASE_URL_PATH": "/a/b/"}, "/a/b/_stcore/health"),
        (["dashboard"], "STREAMLIT_SERVER_PORT", {"BASE_URL_PATH": "pages"}, "/pages/_stcore/health"),
    ],
)
def test_the_health_check_follows_the_settings_and_asks_no_proxy(
    words: list[str], setting: str, variables: dict[str, str], path: str
) -> None:
    """The port and the path below which the pages are; whatever proxy the container's environment names."""
    asked: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == path else 404)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        around = {f"STREAMLIT_SERVER_{name}": value for name, value in variables.items()}
        around |= {setting: str(server.server_port), "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
        command = [sys.executable, str(DEPLOY / "healthcheck"), *words]
        run = subprocess.run(command, env={**os.environ, **around}, check=False)
        server.shutdown()
    assert (run.returncode, asked) == (0, [path])


def test_a_user_without_a_name_gets_one(tmp_path: Path) -> None:
    """Java, which looks for it by its number, finds it in the file that the entrypoint makes."""
    nameless = ["unshare", "--map-user=12345"]
    if subprocess.run([*nameless, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs user namespaces")
    around = {**os.environ, "TMPDIR": str(tmp_path), "HOME": "/data"}
    shown = "echo $LD_PRELOAD; cat $NSS_WRAPPER_PASSWD | tail -1"
    command = [*nameless, str(DEPLOY / "entrypoint"), "sh", "-c", shown]
    run = subprocess.run(command, env=around, capture_output=True, text=True, check=True)
    library, entry = run.stdout.splitlines()
    assert library == "libnss_wrapper.so"
    assert entry.split(":")[0::2][:2] == ["app-user", "12345"]
    assert "libnss-wrapper" in " ".join(rest for name, rest in stages()["java"] if name == "RUN")
    command = [str(DEPLOY / "entrypoint"), "sh", "-c", "echo ${LD_PRELOAD-none}"]
    run = subprocess.run(command, env=around, capture_output=True, text=True, check=True)
    assert run.stdout == "none\n"


@pytest.mark.parametrize("stage", ["job", "dashboard"])
def test_an_image_runs_as_nobody_special_and_tells_its_health(stage: str) -> None:
    """The user has a number, as Kubernetes wants it; the check asks the port that the program listens on."""
    number, group = last(stage, "USER").split(":")
    assert number == group != "0"
    assert any(f"--uid {number}" in rest for name, rest in stages()[stage] if name == "RUN")
    check = json.loads(last(stage, "HEALTHCHECK").partition("CMD ")[2])
    assert check[:2] == ["python", "deploy/healthcheck"]
    assert f'"{last(stage, "EXPOSE")}"' in (DEPLOY / "healthcheck").read_text()
    entrypoint = json.loads(last(stage, "ENTRYPOINT"))
    assert entrypoint[0] == "tini"
    assert {check[1], *entrypoint[2:]} <= set(map(str, image_files()))


def test_the_health_check_of_the_job_asks_what_is_served() -> None:
    """The port is the default, the path one of those that are documented for container checks."""
    assert Settings.model_fields["health_port"].default == int(last("job", "EXPOSE"))
    assert "| `/health` | 200 `healthy`" in (ROOT / "docs" / "health-endpoints.md").read_text()


def test_the_commands_exist() -> None:
    """The job's is a script of the image, the dashboard's the page that `pulse dashboard` starts."""
    job: list[str] = json.loads(last("job", "CMD"))
    assert job == ["python", "main.py"]
    typer.main.get_command(app).make_context("main.py", job[2:])
    dashboard: list[Any] = json.loads(last("dashboard", "CMD"))
    assert dashboard[:3] == ["streamlit", "run", "dashboard/app.py"]


def test_an_other_command_goes_through_the_entrypoint() -> None:
    """It is run as it is: words with spaces stay whole, and its exit code is that of the container."""
    command = [str(DEPLOY / "entrypoint"), "sh", "-c", 'printf %s "$1"; exit 3', "sh", "two words"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.stdout, run.returncode) == ("two words", 3)


def test_all_packages_but_the_dashboard_go_to_a_cluster() -> None:
    """One that is missing is found only where the service starts there."""
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    assert packages - {"benchmarks", "dashboard", "deploy", "tests"} == set(PACKAGES)
