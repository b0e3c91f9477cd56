"""The systemd unit: what it starts exists, it stops gently, it keeps trying, and Java can run under it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.catalog import PIPELINES
from tests.support.documents import ROOT, blocks

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


def test_systemd_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    """Where this machine has systemd's own checker, with the unit's paths moved to this checkout."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not there")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(PLACE, str(tmp_path)))
    run = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=300, check=False
    )
    ours = [line for line in run.stderr.splitlines() if UNIT.name in line or str(tmp_path) in line]
    assert ours == []
