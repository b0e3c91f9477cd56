"""The rows of `main.py check` about Kafka and the accountant's file that need no server."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accounting.books import Books
from accounting.database import BooksDatabase, BooksError
from accounting.outbox import Outbox
from commands.checks import kafka, stock
from commands.checks.result import CheckResult
from contracts import ConfigurationError
from contracts.stock import Client
from main import app
from pipelines.engine.kafka_connector import ARTIFACT, connector_version
from settings import load

_NOWHERE = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to wait for."""
    monkeypatch.setattr(kafka, "_ANSWER_SECONDS", 1.0)


def _jars(folder: Path) -> CheckResult:
    return kafka.connector_jars(load(env_file=None, kafka_connector_path=folder))


def test_the_connectors_jars_are_there_or_will_be_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that the next start would take for complete, and is not, fails; spark-submit needs none."""
    assert _jars(tmp_path).status == "warning"
    assert "Maven Central" in _jars(tmp_path).remedy
    folder = tmp_path / connector_version()
    folder.mkdir()
    (folder / "kafka-clients-3.9.jar").touch()
    assert _jars(tmp_path).status == "failed"
    assert f"Delete {folder}" in _jars(tmp_path).remedy
    (folder / f"{ARTIFACT}-{folder.name}.jar").touch()
    assert _jars(tmp_path).status == "ok"
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    assert _jars(tmp_path / "elsewhere").status == "skipped"


def test_options_that_only_java_knows_leave_a_doubt() -> None:
    """What this client cannot do is no proof that the pipeline cannot; user and password it can take."""
    login = 'PlainLoginModule required username="u" password="hunter2";'
    options = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.jaas.config": login}
    settings = load(env_file=None, kafka_bootstrap_servers=_NOWHERE, kafka_options=options)
    assert kafka.reachable(settings, []).status == "failed"
    options["ssl.truststore.location"] = "/nowhere"
    result = kafka.reachable(settings, [])
    assert result.status == "warning"
    assert "asked without ssl.truststore.location" in result.detail
    impossible = load(env_file=None, kafka_options={"security.protocol": "hunter2"})
    with pytest.raises(ConfigurationError, match=r"\(security\.protocol\)") as raised:
        kafka.reachable(impossible, [])
    assert "hunter2" not in str(result) + str(raised.value)


@pytest.mark.parametrize(
    ("pipeline", "own", "other"),
    [
        ("stock", "STOCK_COLD_PATH", "ESPORTS_OUTPUT_PATH"),
        ("esports", "ESPORTS_OUTPUT_PATH", "STOCK_COLD_PATH"),
    ],
)
def test_without_any_server_the_rest_is_still_checked(
    pipeline: str, own: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each server is one failure with its remedy, what depends on it is skipped; exit code 2."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", _NOWHERE)
    monkeypatch.setenv("MONGO_URI", "mongodb://app:hunter2@127.0.0.1:9/?serverSelectionTimeoutMS=200")
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    done = CliRunner().invoke(app, ["check", "--pipeline", pipeline, "--json"])
    rows = {row["name"]: row for row in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 2
    assert "hunter2" not in done.stdout
    assert f"KAFKA_BOOTSTRAP_SERVERS={_NOWHERE}" in rows["Kafka"]["detail"]
    assert "Connection refused" in rows["Kafka"]["detail"]
    assert rows["Kafka"]["remedy"].startswith("Start Kafka")
    assert rows["Topics"]["status"] == "skipped"
    assert rows["Java"]["status"] == rows[own]["status"] == "ok"
    assert other not in rows
    if pipeline == "esports":
        assert not any("Mongo" in name or "Account" in name for name in rows)
    else:
        assert (rows["MongoDB"]["status"], rows["Rights"]["status"]) == ("failed", "skipped")
    assert list(tmp_path.iterdir()) == []


def _books(path: Path, password: str = "long enough") -> CheckResult:  # noqa: S107 - of no one
    return stock.books(load(env_file=None, accountant_password=password, sqlite_db_path=path))


def test_the_accountants_file_is_looked_at_and_left_as_it_is(tmp_path: Path) -> None:
    """Not made, ours, stuck, with refused rows, somebody else's."""
    path = tmp_path / "books.db"
    assert _books(path, password="").status == "skipped"
    assert "not there yet" in _books(path).detail
    assert not path.exists()
    file = BooksDatabase(path)
    file.prepare()
    assert _books(path).status == "ok"
    Books(file).save([Client("C1", "Shop", None, None, 0, "")])
    assert "1 wait for Kafka" in _books(path).detail
    outbox = Outbox(file)
    (message,) = outbox.waiting(9)
    outbox.settle([], {}, "Kafka is away")
    assert (_books(path).status, "Kafka is away" in _books(path).detail) == ("warning", True)
    outbox.settle([], {message.number: "too large"}, None)
    assert (_books(path).status, "1 were refused" in _books(path).detail) == ("warning", True)


def test_a_file_of_another_program_is_not_changed(tmp_path: Path) -> None:
    """Neither by the check nor by the page: not even its journal's mode."""
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE t (x)")
    theirs.close()
    before = path.read_bytes()
    assert _books(path).status == "failed"
    assert "another program" in _books(path).detail
    with pytest.raises(BooksError, match="another program"):
        BooksDatabase(path).prepare()
    assert path.read_bytes() == before
    path.write_bytes(b"no database, but long enough to be looked at as one")
    assert "cannot be used" in _books(path).detail
