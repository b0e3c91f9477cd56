"""A command that is shown runs as it is shown, in a shell that knows nothing of the environment."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

import told as module
from commands.pulse import app
from settings import Settings
from tests.support.documents import ROOT
from tests.support.parsing import misuse
from tests.support.shell import in_a_shell
from tests.test_architecture import PROJECT_FILES
from told import install, told

_COMMAND = typer.main.get_command(app)
# What stands for a value of the run in a hint.
_EXAMPLE = "esports"
# An earlier form, or one that only this project's own shell knows.
_OLD = re.compile(r"\b(main|process_batch)\.py\b|python -m |\bdlq \w+ --pipeline")


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for file in PROJECT_FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "told":
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node


def _words(hint: ast.expr) -> str | None:
    """The words of a hint that stands in the code, with an example for each value."""
    if isinstance(hint, ast.JoinedStr):
        return "".join(_words(each) or _EXAMPLE for each in hint.values)
    return hint.value if isinstance(hint, ast.Constant) and isinstance(hint.value, str) else None


def test_every_hint_of_the_programs_is_a_command() -> None:
    """The command line itself parses each, and knows the settings before it."""
    found, wrong = 0, []
    for place, call in _calls():
        words = _words(call.args[0])
        # The two that are given as a value are of StoredLetters and of the error about wrong options.
        if words is None or (place.startswith("commands/common.py") and "{" in ast.unparse(call.args[0])):
            continue
        found += 1
        arguments = ["id" for _ in call.args[1:]]
        if why := misuse(_COMMAND, [*shlex.split(words), *arguments]):
            wrong.append(f"{place}: pulse {words}: {why}")
        unknown = {str(each.arg) for each in call.keywords} - {name.upper() for name in Settings.model_fields}
        wrong += [f"{place}: {name} is no setting" for name in unknown]
    assert wrong == []
    assert found > 25, "the hints are not found any more"


def _texts(file: Path) -> Iterator[tuple[int, str]]:
    """The line and the words of each text of a module, but for its docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.lineno, node.value


def test_no_program_shows_a_command_that_was_not_made_by_told() -> None:
    """In another form it would not run where the person is."""
    found = [
        f"{file.relative_to(ROOT)}:{line} {text}"
        for file in PROJECT_FILES
        # Programs under their earlier names tell the new one; they go with the next release.
        if file.name not in ("event_generator.py", "match_simulator.py")
        for line, text in _texts(file)
        if _OLD.search(text)
    ]
    assert found == []


def test_it_runs_in_a_shell_without_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the checkout by its short name, elsewhere by its path; a setting with blanks goes with it."""
    monkeypatch.chdir(ROOT)
    shown = told("stock dlq list", "--help")
    assert shown == "./pulse stock dlq list --help"
    assert "Usage: pulse stock dlq list" in in_a_shell(shown, ROOT)
    monkeypatch.chdir(tmp_path)
    letters = tmp_path / "a folder's letters"
    shown = told("ecommerce dlq list", DLQ_DIRECTORY=letters)
    assert "of ecommerce is empty" in in_a_shell(shown, tmp_path)
    assert str(letters) in in_a_shell(shown, tmp_path)


def test_where_pip_installed_it_the_command_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name where that is found, else by its path."""
    monkeypatch.setattr(module, "_LAUNCHER", tmp_path / "none")
    python = tmp_path / "bin" / "python"
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    assert told("check") == "pulse check"
    python.parent.mkdir()
    script = python.with_name("pulse")
    script.touch(0o755)
    assert told("check") == f"{script} check"
    monkeypatch.setenv("PATH", str(python.parent))
    assert told("check", MONGO_URI="mongodb://h/?a=1&b=2") == "MONGO_URI='mongodb://h/?a=1&b=2' pulse check"
    monkeypatch.setattr(module, "find_spec", lambda _name: "pip")
    assert install("kafka") == f"{python} -m pip install 'spark-health-analytics[kafka]'"
    monkeypatch.setattr(module, "find_spec", lambda _name: None)
    assert install("kafka") == f"uv pip install --python {python} 'spark-health-analytics[kafka]'"


def test_what_installs_the_packages_is_told_as_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script exists and has the option; each extra is one that the project declares."""
    monkeypatch.chdir(tmp_path)
    assert install("dashboard") == f"{ROOT / 'script' / 'setup'} --dashboard"
    monkeypatch.chdir(ROOT)
    assert install("kafka") == install() == "script/setup"
    assert install("otlp").endswith(" opentelemetry-exporter-otlp-proto-http")
    text = (ROOT / "pyproject.toml").read_text()
    declared = dict(re.findall(r"^(\w+) = \[(.*)", text, re.MULTILINE))
    assert set(module.EXTRAS.values()) <= set(declared)
    # script/setup leaves these out.
    assert all(f'"{package}>=' in declared[extra] for extra, package in module._BESIDE.items())
