"""The connector's jars: used from the folder when they are there, else one clear sentence."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pyspark
import pytest

from contracts import ConfigurationError, UnavailableError
from pipelines.engine.kafka_connector import (
    connector_conf,
    connector_folder,
    connector_version,
    wait_for_broker,
)
from settings import load


def test_jars_that_are_there_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started to fetch them."""
    folder = tmp_path / connector_version()
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


@pytest.mark.parametrize(
    ("installed", "connector"),
    [("4.0.0", "4.0.0"), ("4.0.5", "4.0.0"), ("4.1.4", "4.1.1"), ("4.2.1", "4.2.0"), ("4.2.0.dev1", "4.2.0")],
)
def test_the_connector_is_of_sparks_line(
    installed: str, connector: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of another line fails in the middle of a batch; each line has a folder of its own."""
    monkeypatch.setattr(pyspark, "__version__", installed)
    assert connector_folder(load(env_file=None, kafka_connector_path=tmp_path)) == tmp_path / connector


def test_a_spark_without_a_connector_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedy is the Spark that is pinned."""
    monkeypatch.setattr(pyspark, "__version__", "4.3.0")
    with pytest.raises(ConfigurationError, match=r"pyspark 4.3.0, only for 4.0, 4.1, 4.2.*script/setup"):
        connector_version()


def _never(*_arguments: Any, **_options: Any) -> Any:
    raise AssertionError("a program was started")


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_a_broker_is_waited_for_as_long_as_the_setting_says(
    seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the time in which no answer came: 60 seconds were three minutes. Each try is told."""

    class Silent:
        asked = 0

        def ping(self) -> None:
            self.asked += 1
            time.sleep(0.2)
            raise UnavailableError("no answer")

    broker, began = Silent(), time.monotonic()
    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP_SERVERS"):
        wait_for_broker(broker, load(env_file=None, kafka_wait_seconds=seconds))
    assert broker.asked == (2 if seconds else 1)
    assert time.monotonic() - began < 10
    assert capsys.readouterr().out.count("does not answer yet") == broker.asked - 1
