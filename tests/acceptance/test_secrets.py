"""Passwords and tokens appear in nothing that the real commands leave behind, whatever goes wrong."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.support.canaries import canary, leaks, process_list, traces
from tests.support.fake_backend import FakeBackend
from tests.support.job import ROOT, HealthJob
from tests.support.mongo_doors import PASSWORD, SecureDoor
from tests.support.quoting_relay import quoting_relay
from tests.support.waiting import TIMEOUT_SECONDS, wait_for

UI_PAGES = ("environment/", "jobs/", "stages/", "executors/", "SQL/", "StreamingQuery/")


@pytest.fixture
def given(secure_door: SecureDoor) -> Iterator[dict[str, str]]:
    """Every secret that the runs are given, by name."""
    with secure_door.user() as user:
        yield {
            "user": user,
            "password": PASSWORD,
            "key password": canary(),
            "token": canary(),
            "another's secret": canary(),
            "broken line": canary(),
            "accountant's password": canary(),
            "operator's password": canary(),
            "administrator's password": canary(),
            "token of the letters": canary(),
            "secret of the webhook": canary(),
            "password of the webhook": canary(),
            "path of the webhook": canary(),
            "key of lineage": canary(),
            "header of traces": canary(),
            "password of a receiver": canary(),
        }


@pytest.fixture
def secret_job(small_job: HealthJob, secure_door: SecureDoor, given: dict[str, str]) -> HealthJob:
    """A job behind a password, with a token, and with a secret in its environment that is not for it."""
    small_job.own_java = True
    small_job.environment |= {
        "MONGO_URI": secure_door.uri(given["user"]),
        "SERVICE_TOKEN": given["token"],
        "ACCOUNTANT_PASSWORD": given["accountant's password"],
        "OPERATOR_PASSWORD": given["operator's password"],
        "ADMINISTRATOR_PASSWORD": given["administrator's password"],
        "LETTERS_API_TOKEN": given["token of the letters"],
        "NOTIFY_WEBHOOK_URL": "http://me:{}@127.0.0.1:9/{}".format(
            given["password of the webhook"], given["path of the webhook"]
        ),
        "NOTIFY_WEBHOOK_SECRET": given["secret of the webhook"],
        "OPENLINEAGE_URL": f"http://app:{given['password of a receiver']}@127.0.0.1:9",
        "OPENLINEAGE_API_KEY": given["key of lineage"],
        "OTLP_ENDPOINT": f"http://app:{given['password of a receiver']}@127.0.0.1:9",
        "OTLP_HEADERS": f"x-api-key={given['header of traces']}",
        "AWS_SECRET_ACCESS_KEY": given["another's secret"],
        "BACKEND_API_URL": "http://127.0.0.1:9/api",
        "LOG_LEVEL": "DEBUG",
    }
    (small_job.folder / ".env").write_text(f"SPARK_APP_NAME=canaries\n{given['broken line']}\n")
    return small_job


def assert_no_leak(job: HealthJob, given: dict[str, str]) -> None:
    """Search every byte below the working folder but the one file that holds a secret on purpose."""
    (job.folder / ".env").unlink(missing_ok=True)
    assert leaks(job.folder, given) == []


def _tls_uri(door: SecureDoor, given: dict[str, str], folder: Path) -> str:
    """Over TLS, with a client key of a password of its own outside the searched folder."""
    key = folder / "client.pem"
    source = door.certificates / "client.pem"
    environment = {**os.environ, "NEW": given["key password"]}
    command = ["openssl", "pkey", "-in", str(source), "-passin", "pass:k3y", "-aes256", "-passout", "env:NEW"]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    key.write_text(made.stdout + (door.certificates / "client.crt").read_text())
    uri = door.tls_uri(given["user"]).replace(quote(str(source), safe=""), quote(str(key), safe=""))
    return uri.replace("KeyFilePassword=k3y", f"KeyFilePassword={given['key password']}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _fetch(address: str) -> str:
    with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - a page of this machine
        return str(answer.read().decode())


def _save_pages(job: HealthJob, ui: int, health: int) -> None:
    """What Spark's UI and our own endpoints show, for the search."""
    base = f"http://127.0.0.1:{ui}"
    (application,) = json.loads(_fetch(f"{base}/api/v1/applications"))
    rest = f"{base}/api/v1/applications/{application['id']}"
    pages = [f"{base}/{page}" for page in UI_PAGES]
    pages += [
        f"{rest}/{page}" for page in ("environment", "jobs", "stages", "sql?details=true", "allexecutors")
    ]
    pages += [f"http://127.0.0.1:{health}/{page}" for page in ("metrics", "health/live", "health/ready")]
    text = "\n".join(_fetch(page) for page in pages)
    assert "canaries" in _fetch(f"{rest}/environment"), "not the page that shows Spark's settings"
    (job.folder / "pages.txt").write_text(text)


def test_a_stream_with_the_spark_ui_shows_no_secret(
    secret_job: HealthJob, secure_door: SecureDoor, given: dict[str, str]
) -> None:
    """Under spark-submit with UI and event log: processes, pages, dead letters, errors quoting addresses."""
    uri, ui, health = secure_door.uri(given["user"]), _free_port(), _free_port()
    port = int(uri.rpartition(":")[2].partition("/")[0])
    events = secret_job.folder / "events"
    events.mkdir()
    conf = {
        "spark.ui.enabled": "true",
        "spark.ui.port": str(ui),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": events.as_uri(),
    }
    submit = [str(Path(sys.executable).with_name("spark-submit")), "--master", "local[2]"]
    submit += [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    with quoting_relay(port) as relay, (secret_job.folder / "output.txt").open("a") as output:
        environment = {
            **secret_job.environment,
            "MONGO_URI": uri.replace(f":{port}/", f":{relay.port}/"),
            "HEALTH_PORT": str(health),
        }
        process = subprocess.Popen(
            [*submit, str(ROOT / "main.py")],
            cwd=secret_job.folder,
            env=environment,
            stdout=output,
            stderr=output,
            text=True,
        )
        try:
            letters = secret_job.folder / "dlq"
            wait_for(lambda: bool(list(letters.glob("*.json"))), "a dead letter", process)
            _save_pages(secret_job, ui, health)
            seen = process_list()
            assert b"SparkSubmit" in seen
            assert [name for name, secret in given.items() for trace in traces(secret) if trace in seen] == []
            # So long that a cut after 200, 500 or 2 000 characters would fall into an address.
            relay.error = " ".join(f"refused {uri} for {given['password']}" for _ in range(40))
            wait_for(lambda: '"status": "failed"' in _batch_logs(secret_job), "a failed batch", process)
        finally:
            process.terminate()
            process.wait(TIMEOUT_SECONDS)
    assert "refused mongodb://***@127.0.0.1" in _batch_logs(secret_job), _batch_logs(secret_job)
    assert list(events.rglob("*"))
    assert_no_leak(secret_job, given)


def _batch_logs(job: HealthJob) -> str:
    return "".join(file.read_text() for file in (job.folder / "logs").glob("batch_logs_*.jsonl"))


def test_single_runs_show_no_secret(
    secret_job: HealthJob,
    secure_door: SecureDoor,
    given: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A bug with its traceback as JSON over TLS, the one-shot batch, a retry; and a backend that refuses."""
    tls = _tls_uri(secure_door, given, tmp_path_factory.mktemp("key"))
    backend = FakeBackend()
    secret_job.environment["BACKEND_API_URL"] = f"http://127.0.0.1:{backend.port}/api"
    try:
        assert secret_job.run("--once", MONGO_URI=tls, LOG_JSON="true", FAULT="compute:raise") == 1
        assert "Traceback" in secret_job.output()
        assert secret_job.run(script="process_batch.py", MONGO_URI=tls) == 0, secret_job.output()
        assert secret_job.run("dlq", "retry") == 0, secret_job.output()
    finally:
        backend.down()
    assert {request.code for request in backend.requests}, "the backend was not told anything"
    assert list((secret_job.folder / "logs").glob("batch_history_*.json"))
    assert_no_leak(secret_job, given)


def test_commands_and_faults_at_the_start_show_no_secret(
    secret_job: HealthJob, secure_door: SecureDoor, given: dict[str, str]
) -> None:
    """Wrong, unencoded and unreachable addresses are one sentence; other commands name no secret either."""
    uri = secure_door.uri(given["user"])
    encoded = quote(PASSWORD, safe="")
    wrong = {
        "wrong password": uri.replace(encoded, f"{encoded}x"),
        "not encoded": uri.replace(encoded, PASSWORD),
        "unreachable": uri.replace("127.0.0.1:", "127.0.0.1:1"),
        "wrong option": f"{uri}&authMechanismProperties=AWS_SESSION_TOKEN:{given['token']},x",
        "wrong scheme": uri.replace("mongodb:", "postgres:"),
    }
    for name, address in wrong.items():
        found = secret_job.run("--once", MONGO_URI=address, MONGO_TIMEOUT_SECONDS="1")
        assert found == 2, f"{name}: {secret_job.output()}"
    assert secret_job.run("check", MONGO_URI=wrong["wrong password"]) == 2
    for command in (["config"], ["config", "--json"], ["checkpoint", "set", "2026-01-01"], ["dlq", "list"]):
        assert secret_job.run(*command) == 0, secret_job.output()
    assert secret_job.run("config", SERVICE_TOKEN=f"{given['token']}\n") == 2
    assert "Traceback" not in secret_job.output()
    assert_no_leak(secret_job, given)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "mongodb://u:{}@host",
        "Basic {}",
    ],
)
def test_the_search_finds_a_secret_in_every_form(tmp_path: Path, text: str) -> None:
    """A search that finds nothing proves something only if it would have found it."""
    secret = canary('p@ss/w:rd?%#&"\\é')
    forms = [secret, quote(secret, safe=""), quote_plus(secret), repr(secret), json.dumps(secret)]
    plain = text.format(secret).encode()
    encoded = [base64.b64encode(b"x" * offset + plain).decode() for offset in range(3)]
    for number, form in enumerate([*(text.format(form) for form in forms), *encoded]):
        file = tmp_path / f"{number}" / "file"
        file.parent.mkdir()
        file.write_text(f"before{form}after")
        assert leaks(file.parent, {"it": secret}) == ["it in file"], form
