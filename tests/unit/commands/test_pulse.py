"""`pulse [PIPELINE] COMMAND`: one grammar over the commands of `main.py`, and nothing besides."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main

import commands.run
import main
import process_batch
from commands import pulse
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from pipelines.engine.pipeline import ALL_PARTS, Pipeline
from settings import load
from tests.support.command_line import Ended, run_command
from tests.support.documents import ROOT
from told import told

ROOT_COMMAND: Any = typer.main.get_command(pulse.app)


def run(*words: str) -> Ended:
    """A command, as the launcher runs it."""
    return run_command(*words, app=pulse.app, name="pulse")


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was run, in place of running it."""
    noted: list[object] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URI", "mongomock://pulse")
    monkeypatch.setattr(commands.run, "process", lambda *how: noted.append(how))
    monkeypatch.setattr(Pipeline, "run_demo", lambda one, keep, *_: noted.append((one.name, keep)))
    return noted


@pytest.mark.parametrize("name", PIPELINES)
def test_each_pipeline_runs_as_it_is_named(name: str, ran: list[object]) -> None:
    """The pipeline stands first; it is the very function of `main.py` that runs."""
    assert (
        run(name, "run").code == run(name, "once", "--json", "--verbose").code == run(name, "demo").code == 0
    )
    assert ran == [(name, False, ALL_PARTS, False, False), (name, True, ALL_PARTS, True, True), (name, False)]


def test_without_a_pipeline_it_is_the_default_one(ran: list[object]) -> None:
    """`pulse X` is `pulse health X`, for every X."""
    assert run("run").code == run("demo", "--keep-running").code == 0
    assert ran == [(DEFAULT_PIPELINE, False, ALL_PARTS, False, False), (DEFAULT_PIPELINE, True)]
    assert set(ROOT_COMMAND.commands[DEFAULT_PIPELINE].commands) <= set(ROOT_COMMAND.commands)


def test_a_part_is_asked_for_where_there_are_parts(ran: list[object]) -> None:
    """Elsewhere there is no such option."""
    assert run("esports", "run", "--job", "matches").code == 0
    assert ran == [("esports", False, "matches", False, False)]
    refused = run("stock", "run", "--job", "matches")
    assert refused.code == 2
    assert refused.err.endswith(f"See {told('stock run --help')}.\n")


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipelines_letters_are_its_own(name: str, ran: list[object]) -> None:
    """`pulse stock dlq list` is `dlq list --pipeline stock`; the option is gone."""
    assert f"dead-letter queue of {name} is empty" in run(name, "dlq", "list").out
    assert run(name, "dlq", "list", "--pipeline", name).code == 2
    assert ran == []


def test_every_pipeline_has_what_it_declares() -> None:
    """stats, compact and simulate where there are figures, Parquet and a simulator."""
    always = {"run", "once", "check", "dlq"}
    for name, one in PIPELINES.items():
        has = set(ROOT_COMMAND.commands[name].commands)
        optional = {"demo": one.demo, "stats": one.figures, "compact": one.parquet, "simulate": one.simulator}
        assert has >= always | {command for command, there in optional.items() if there}
        assert not has & {command for command, there in optional.items() if not there}


@pytest.mark.parametrize("name", [name for name, one in PIPELINES.items() if one.simulator])
def test_what_invents_records_has_its_own_options(name: str, tmp_path: Path) -> None:
    """They are those of the module, which is the very program; wrong ones are refused as everywhere."""
    module = import_module(str(PIPELINES[name].simulator))
    assert str(module.main.__doc__).split(";")[0].split()[0] in run(name, "simulate", "--help").out
    assert run(name, "simulate", "--nonsense").code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("stock",), ("dlq",), ("health", "checkpoint")])
def test_a_group_alone_shows_its_commands(words: tuple[str, ...]) -> None:
    """Whoever does not know what to write; that is no fault."""
    ended = run(*words)
    assert (ended.code, ended.err) == (0, "")
    assert "Commands" in ended.out


def test_flags_are_shown_without_a_type() -> None:
    """`--once <bool>` made people write `--once true`, which is refused."""
    for words in ((), ("dlq", "retry"), ("stock", "run"), ("esports", "simulate")):
        assert "<bool>" not in run(*words, "--help").out


def test_it_tells_its_version() -> None:
    """That of the project, and of nothing else."""
    assert run("--version").out == f"pulse {pulse.VERSION}\n"
    assert re.fullmatch(r"\d+\.\d+\.\d+", pulse.VERSION)


def test_the_dashboard_starts_streamlit_with_what_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our options go to the page, all others to Streamlit, in any order."""
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _program, command: started.append(command))
    assert run("dashboard", "--server.port", "8600", "--demo", "--pipeline=stock", "--a=b").code == 0
    assert run("dashboard", "--pipeline", "stock").code == 2
    page = str(ROOT / "dashboard" / "app.py")
    ours, streamlits = ["--demo", "--pipeline", "stock"], ["--server.port", "8600", "--a=b"]
    assert started == [[sys.executable, "-m", "streamlit", "run", page, *streamlits, "--", *ours]]


def test_a_package_that_an_extra_installs_is_told_with_its_command(
    ran: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip installed no extra: no traceback, but what to run."""
    assert ran == []
    monkeypatch.setattr("commands.checks.run.run_checks", _without_kafka)
    monkeypatch.setattr("told._LAUNCHER", ROOT / "none")
    ended = run("stock", "check")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "❌ confluent_kafka.admin is not installed: "
        f"{sys.executable} -m pip install 'spark-health-analytics[kafka]'\n"
    )


def _without_kafka(_pipeline: str) -> list[Any]:
    raise ModuleNotFoundError("No module", name="confluent_kafka.admin")


def test_settings_are_read_as_ever(ran: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    """From where the person is, not from where the program lies."""
    assert ran == []
    Path(".env").write_text("BATCH_INTERVAL_SECONDS=77\n")
    assert load().batch_interval_seconds == 77
    assert re.search(r"BATCH_INTERVAL_SECONDS +77 +\.env", run("config").out)


def test_every_command_of_the_earlier_programs_has_its_place() -> None:
    """Whoever adds one to `main.py` gives it to `pulse` too; `metrics` is called `stats` there."""
    for name, command in typer.main.get_command(main.app).commands.items():  # type: ignore[attr-defined]
        below = set(getattr(command, "commands", {}))
        if name in PIPELINES:
            assert below <= set(ROOT_COMMAND.commands[name].commands)
        elif name == "metrics":
            assert all("stats" in ROOT_COMMAND.commands[each].commands for each in below)
        else:
            assert below <= set(getattr(ROOT_COMMAND.commands[name], "commands", {}))
    assert len(typer.main.get_command(process_batch.app).params) == len(ROOT_COMMAND.commands["batch"].params)
