"""The connector's jars: used from the folder when they are there, else one clear sentence."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from contracts import ConfigurationError
from pipelines.engine.kafka_connector import PACKAGE, connector_conf
from settings import load


def test_jars_that_are_there_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started to fetch them."""
    folder = tmp_path / PACKAGE[2]
    folder.mkdir()
    for name in ("b.jar", "a.jar"):
        (folder / name).touch()
    monkeypatch.setattr(subprocess, "run", _never)
    conf = connector_conf(load(env_file=None, kafka_connector_path=tmp_path))
    assert conf == {"spark.jars": f"{folder}/a.jar,{folder}/b.jar"}


def test_jars_that_cannot_be_fetched_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the remedy; nothing half is left for the next start."""
    real = subprocess.run

    def failing(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if "org.apache.ivy.Main" in command:
            return subprocess.CompletedProcess(command, 1, "", "UNRESOLVED DEPENDENCIES")
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(
        ConfigurationError, match=r"cannot be fetched from Maven Central.*KAFKA_CONNECTOR_PATH"
    ):
        connector_conf(load(env_file=None, kafka_connector_path=tmp_path))
    assert list(tmp_path.iterdir()) == []


def _never(*_arguments: Any, **_options: Any) -> Any:
    raise AssertionError("a program was started")
