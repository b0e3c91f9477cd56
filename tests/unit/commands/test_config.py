"""`main.py config`: every setting, its origin, no secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from main import app
from settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder without settings of the machine."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def _config(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["config", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_each_value_tells_where_it_comes_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment goes before .env, and an empty variable counts as none."""
    (folder / ".env").write_text("LOG_LEVEL=DEBUG\nDLQ_DIRECTORY=letters\nLOG_DIRECTORY=\n")
    monkeypatch.setenv("LOG_LEVEL", "ERROR")
    monkeypatch.setenv("DLQ_DIRECTORY", "")
    rows = {row["name"]: (row["value"], row["origin"]) for row in json.loads(_config("--json"))["settings"]}
    assert rows.keys() == {name.upper() for name in Settings.model_fields}
    assert rows["LOG_LEVEL"] == ("ERROR", "environment")
    assert rows["DLQ_DIRECTORY"] == ("letters", ".env")
    assert rows["LOG_DIRECTORY"] == ("logs", "default")
    assert rows["BATCH_INTERVAL_SECONDS"] == ("60", "default")
    assert rows["LOG_JSON"] == ("false", "default")


def test_of_an_address_only_the_credentials_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host and options are what one looks for; the password is in neither form of output."""
    monkeypatch.setenv("MONGO_URI", "mongodb://app:hunter2@db.example:27017/?replicaSet=rs0")
    for text in (_config(), _config("--json")):
        assert "hunter2" not in text
        assert "mongodb://***@db.example:27017/?replicaSet=rs0" in text


@pytest.mark.parametrize("rest", ["app:hunter2%40db:27017/x", "app:hunter2", "db:27017,app:hunter2/x"])
def test_credentials_without_an_at_are_hidden_too(rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The @ was percent-encoded with the password, or forgotten."""
    monkeypatch.setenv("MONGO_URI", f"mongodb://{rest}")
    monkeypatch.setenv("POSTGRES_DSN", f"postgresql://{rest}")
    monkeypatch.setenv("BACKEND_API_URL", f"http://{rest}")
    monkeypatch.setenv("KAFKA_OPTION_SASL_OAUTHBEARER_JWKS_ENDPOINT_URL", f"http://{rest}")
    assert "hunter2" not in _config() + _config("--json")


def test_unknown_keys_are_told_with_the_nearest_name(folder: Path) -> None:
    """In the table and in the JSON."""
    (folder / ".env").write_text("MONGO_URL=x\n")
    assert "did you mean MONGO_URI?" in _config()
    assert "did you mean MONGO_URI?" in json.loads(_config("--json"))["unknown"][0]
