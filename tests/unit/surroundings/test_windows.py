"""What is otherwise on Windows; script/windows-check runs it there, as far as Wine is Windows."""

from __future__ import annotations

import atexit
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark import SparkContext, java_gateway

from commands.checks import machine
from contracts import ConfigurationError, UnfitError
from pipelines.catalog import PIPELINES
from pipelines.health.pipeline import HEALTH
from surroundings import java_found, java_start, windows
from surroundings.java_start import Java
from tests.support.command_line import run_command
from tests.support.waiting import wait_for

_NOTE = 'echo x >"${TMP:?}/lz4.dll"; '


@pytest.fixture(autouse=True)
def on_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """As there; what Popen takes only there, and whom taskkill was told to end, is in the list."""
    taken: list[Any] = []

    def shielded(options: Any) -> dict[str, Any]:
        made = windows.shielded(options)
        taken.append(made.pop("creationflags"))
        return made

    monkeypatch.setattr(windows, "is_windows", lambda: True)
    monkeypatch.setattr(java_start, "is_windows", lambda: True)
    monkeypatch.setattr(java_start, "shielded", shielded)
    monkeypatch.setattr(java_start, "end_tree", taken.append)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    return taken


def _opened(*_: Any) -> Any:
    raise ConfigurationError("opened")


def _java(program: str) -> Java:
    java = Java(["sh", "-c", program], [], stdin=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
    java.speak()
    return java


def test_java_is_in_a_group_of_its_own_and_leaves_nothing(
    on_windows: list[Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ctrl+C does not reach it; it ends when nobody speaks to it, and what it has loaded goes after it."""
    java = _java(f"{_NOTE}cat; echo in order")
    wait_for(lambda: list(tmp_path.glob("spark-run-*/lz4.dll")), "its temporary file", java)
    java.end(60)
    java.end(60)
    assert on_windows == [0x200]
    assert list(tmp_path.iterdir()) == []
    assert java.last_words() == "in order"
    assert capfd.readouterr().err == "in order\n"


def test_what_java_says_of_the_variables_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    """Behind `--json`, at every start; a value may be secret."""
    names = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")
    java = _java(
        f"echo Picked up {names[0]}: -Dx=hunter2; echo NOTE: Picked up {names[1]}: -Dx=hunter2; echo x"
    )
    java.end(60)
    assert java.last_words() == "x"
    assert capfd.readouterr().err == "x\n"


def test_a_java_that_does_not_end_is_ended_with_all_below_it(on_windows: list[Any], tmp_path: Path) -> None:
    """The batch file alone would leave Java behind, and nobody else ends it."""
    java = _java(f"{_NOTE}exec sleep 60")
    wait_for(lambda: list(tmp_path.glob("spark-run-*/lz4.dll")), "its temporary file", java)
    java.end(0.05)
    assert on_windows == [0x200, java.pid]
    assert java.wait() != 0
    assert list(tmp_path.iterdir()) == []


def test_pyspark_kills_no_java_at_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hook of Java's would run, and taskkill's words would stand behind the last line of `--json`."""
    registered: list[Any] = []
    module: Any = java_gateway

    def launch(_conf: Any) -> None:
        module.atexit.register(pytest.fail)

    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr(java_gateway, "launch_gateway", launch)
    monkeypatch.setattr(SparkContext, "_jvm", None)
    java_start._launch({}, {}, [])
    assert registered == []
    module.atexit.register(print)
    assert registered == [print]


@pytest.mark.parametrize("arguments", [[], ["--demo"], ["--pipeline", "esports", "--once"], ["--json"]])
def test_a_stream_is_refused_in_one_line_before_anything_starts(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It started again for ever, and never said why."""
    for name, pipeline in PIPELINES.items():
        monkeypatch.setitem(PIPELINES, name, replace(pipeline, demo=_opened, open_job=_opened))
    ended = run_command(*arguments)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert all(word in line for word in ("winutils.exe", "batch`", "WSL2"))


def test_what_needs_no_stream_is_not_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Health's `--once`; and everything where winutils is."""

    monkeypatch.setitem(PIPELINES, HEALTH.name, replace(HEALTH, open_job=_opened))
    assert "opened" in run_command("--once").err
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "winutils.exe").touch()
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path))
    assert "opened" in run_command().err


@pytest.mark.usefixtures("on_windows")
def test_no_remedy_names_what_is_not_there(tmp_path: Path) -> None:
    """No apt-get, no chown and no bash script."""
    (tmp_path / "file").touch()
    told = [
        java_found._install(),
        machine.python((3, 9)).remedy,
        machine.folder("DLQ_DIRECTORY", tmp_path / "file").remedy,
    ]
    for text in told:
        assert not any(word in text for word in ("apt-get", "chown", "script/")), text


def test_what_was_imported_for_one_system_tells_the_remedies_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are chosen when they are told, not when a module is read."""
    monkeypatch.setattr(java_found, "java_command", lambda: None)
    for on_windows, told in ((True, "Temurin"), (False, "apt-get"), (True, "Temurin")):
        monkeypatch.setattr(windows, "is_windows", lambda answer=on_windows: answer)
        with pytest.raises(UnfitError) as caught:
            java_found.java()
        assert told in str(caught.value.remedy)
