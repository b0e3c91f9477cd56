"""Every script tells what it takes, and refuses the rest before it does anything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.documents import ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "script").iterdir() if not path.suffix)
# Their arguments are another program's, which refuses what it does not know.
HANDED_ON = {"bench", "test", "toxiproxy"}
OWN = [name for name in SCRIPTS if name not in HANDED_ON]
SERVERS = [name for name in SCRIPTS if name.endswith("-server")]
VALUES = {"--pipeline", "--loops", "--seed", "--fault", "--minutes", "--server.port"}


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of a checkout without anything that it could work with."""
    shutil.copytree(ROOT / "script", folder / "script")
    command = [str(folder / "script" / script), *arguments]
    ran = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=60)
    assert [path.name for path in folder.iterdir()] == ["script"], "it made something"
    return ran


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_the_head_of_the_script(script: str, tmp_path: Path) -> None:
    """It does nothing else."""
    ran = run(tmp_path, script, "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    head = (ROOT / "script" / script).read_text().split("\n")[1:]
    lines = head[: next(number for number, line in enumerate(head) if not line.startswith("#"))]
    assert ran.stdout == "".join(f"{line.removeprefix('#').removeprefix(' ')}\n" for line in lines)
    assert f"script/{script}" in ran.stdout


@pytest.mark.parametrize(("script", "before"), [
    *((script, []) for script in OWN), ("setup", ["--dev"]), *((server, ["start"]) for server in SERVERS),
])  # fmt: skip
def test_an_option_that_is_not_known_is_refused(script: str, before: list[str], tmp_path: Path) -> None:
    """Wherever it stands; installing in silence looked as if it had been heeded."""
    ran = run(tmp_path, script, *before, "--dashbord")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines() == [
        f"{script}: there is no option --dashbord (script/{script} --help tells what it takes)"
    ]


@pytest.mark.parametrize("script", OWN)
def test_one_argument_too_many_is_refused(script: str, tmp_path: Path) -> None:
    """So a value whose option was forgotten is."""
    ran = run(tmp_path, script, *["start"] * 5)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"{script}: 'start' is one too many")


@pytest.mark.parametrize(("script", "option"), [
    (script, option)
    for script in OWN for option in sorted(VALUES)
    if f"{option}=" in (ROOT / "script" / script).read_text()
    or (option == "--server.port" and script == "dashboard")
])  # fmt: skip
def test_an_option_without_its_value_is_refused(script: str, option: str, tmp_path: Path) -> None:
    """It would take the next option for its value, or nothing."""
    ran = run(tmp_path, script, option)
    assert (ran.returncode, ran.stderr.partition(" (")[0]) == (2, f"{script}: {option} needs a value")


@pytest.mark.parametrize("arguments", [("--pipeline", "stock"), ("--server.port=1", "--pipeline=stock")])
def test_the_dashboards_pipeline_belongs_to_its_demo(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Without it the pages are those of what is configured."""
    ran = run(tmp_path, "dashboard", *arguments)
    assert ran.returncode == 2
    assert ran.stderr.startswith("dashboard: --pipeline belongs to --demo")
