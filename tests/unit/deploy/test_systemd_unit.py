"""The systemd unit: what it starts exists, it stops gently, it keeps trying, and Java can run under it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

import main
import process_batch
from pipelines.catalog import PIPELINES
from tests.support.deployment import SETTINGS
from tests.support.documents import ROOT, blocks
from tests.support.systemd import Unit, timers, units

UNIT = ROOT / "deploy" / "systemd" / "health-analytics.service"
DROP_IN = UNIT.with_name("pipeline.conf")
PLACE = "/opt/health-analytics"


def _settings() -> dict[str, str]:
    """The unit's settings, the last of each."""
    lines = (line.strip() for line in UNIT.read_text(encoding="utf-8").splitlines())
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_it_starts_what_is_there_and_where_commands_are_run() -> None:
    """From the checkout, whose `.env` is then that of the service and of every command run by hand."""
    settings = _settings()
    assert settings["WorkingDirectory"] == PLACE
    program, script = settings["ExecStart"].split()
    assert program == f"{PLACE}/.venv/bin/python"
    assert (ROOT / script).is_file()
    assert (ROOT / settings["Documentation"].removeprefix(f"file://{PLACE}/")).is_file()


def test_the_other_pipelines_are_started_by_the_same_unit(tmp_path: Path) -> None:
    """The documented commands make a unit that starts the pipeline of its name, with a file for its port."""
    dropped = [line for line in DROP_IN.read_text().splitlines() if line and not line.startswith("#")]
    start = f"ExecStart={_settings()['ExecStart']} --pipeline %i"
    assert dropped[:3] == ["[Service]", "ExecStart=", start]
    assert dropped[3:] == [f"EnvironmentFile=-{PLACE}/%i.env"]
    (block,) = [one for one in blocks(ROOT / "docs" / "operations.md") if DROP_IN.name in one.text]
    moved = block.text.replace("sudo ", "").replace("/etc", str(tmp_path)).replace(PLACE, str(tmp_path))
    command = moved.replace("systemctl", "true")
    units = tmp_path / "systemd" / "system"
    units.mkdir(parents=True)
    subprocess.run(["bash", "-euc", command], cwd=ROOT, check=True, capture_output=True)
    assert (units / "health-analytics@.service").read_text() == UNIT.read_text()
    assert (units / "health-analytics@.service.d" / DROP_IN.name).read_text() == DROP_IN.read_text()
    (instance,) = re.findall(r"health-analytics@(\w+)$", block.text, re.MULTILINE)
    assert instance in PIPELINES
    assert (tmp_path / f"{instance}.env").read_text().startswith("HEALTH_PORT=")


def test_it_stops_gently_and_starts_again() -> None:
    """SIGTERM for Python alone, time to finish a batch, and no end to trying while a database is away."""
    settings = _settings()
    assert settings["KillMode"] == "mixed"
    assert int(settings["TimeoutStopSec"]) >= 120
    assert settings["Restart"] == "on-failure"
    assert settings["StartLimitIntervalSec"] == "0"
    # Java compiles code while it runs.
    assert "MemoryDenyWriteExecute" not in settings


@pytest.mark.parametrize(("name", "unit"), units().items())
def test_every_command_is_one_that_there_is(name: str, unit: Unit) -> None:
    """With its options; a task of a timer ends by itself, is not started again, and has a timer."""
    program, script, *words = unit.last("ExecStart").split()
    assert program == f"{PLACE}/.venv/bin/python"
    programs = {"main.py": main.app, "process_batch.py": process_batch.app}
    command: Any = typer.main.get_command(programs[script])
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    command.make_context(script, words)
    assert not words or words[0].startswith("-"), "no such command"
    assert set(unit.environment({})) <= {*SETTINGS, "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    if unit.last("Type") == "oneshot":
        assert unit.last("Restart") == "no"
        assert f"{name.partition('@')[0]}{'@' if '@' in name else ''}" in timers()


def test_the_documented_commands_install_the_tasks(tmp_path: Path) -> None:
    """Each is a copy of the stream's unit with its own part, and all timers are there."""
    (block,) = [one for one in blocks(ROOT / "docs" / "operations.md") if "*.timer" in one.text]
    moved = block.text.replace("sudo ", "").replace("/etc", str(tmp_path)).replace(PLACE, str(ROOT))
    (tmp_path / "systemd" / "system").mkdir(parents=True)
    subprocess.run(["bash", "-euc", moved.replace("systemctl", "true")], check=True, capture_output=True)
    placed = tmp_path / "systemd" / "system"
    for file in UNIT.parent.glob("health-analytics-*.conf"):
        assert (placed / f"{file.stem}.service").read_text() == UNIT.read_text()
        assert (placed / f"{file.stem}.service.d" / file.name).read_text() == file.read_text()
    assert {file.stem for file in placed.glob("*.timer")} == set(timers())
    enabled = re.findall(r"enable --now (.+)$", block.text, re.MULTILINE)[0].split()
    assert {re.sub(r"@\w+", "@", name).removesuffix(".timer") for name in enabled} <= set(timers())


def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    """Where this machine has systemd's own checker: every unit with its drop-in, and the timers."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not there")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    moved = UNIT.read_text(encoding="utf-8").replace(PLACE, str(tmp_path))
    parts = {file.stem: file for file in UNIT.parent.glob("health-analytics-*.conf")}
    files = {UNIT.name: moved} | {file.name: file.read_text() for file in UNIT.parent.glob("*.timer")}
    for name, part in {"health-analytics@": DROP_IN, **parts}.items():
        files[f"{name}.service"] = moved
        (tmp_path / f"{name}.service.d").mkdir()
        text = part.read_text(encoding="utf-8").replace(PLACE, str(tmp_path))
        (tmp_path / f"{name}.service.d" / part.name).write_text(text)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    asked = [str(tmp_path / name.replace("@", "@stock")) for name in files]
    command = [analyze, "verify", "--man=no", *asked]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    ours = [line for line in run.stderr.splitlines() if "health-analytics" in line or str(tmp_path) in line]
    assert ours == []
