"""Every program reads the options that it has; the commands' own table is in commands/test_options.py."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.support.job import ROOT


def _programs() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Every function of the repository whose parameters are options or arguments of a command line."""
    rooms = (sorted((ROOT / name).rglob("*.py")) for name in ("benchmarks", "commands", "simulation"))
    for path in [*ROOT.glob("*.py"), *chain.from_iterable(rooms)]:
        text = path.read_text(encoding="utf-8")
        if "typer.Option" not in text and "AsJson" not in text and "PipelineOption" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and _of_the_command_line(node):
                yield f"{path.relative_to(ROOT)}:{node.name}", node


def _of_the_command_line(function: ast.FunctionDef) -> list[str]:
    """The parameters that a person gives."""
    marks = ("typer.Option", "typer.Argument", "AsJson", "PipelineOption", "LetterId", "DryRun", "Yes")
    given = [each for each in function.args.args if each.annotation and function.name != "_add"]
    return [each.arg for each in given if any(mark in ast.unparse(each.annotation or each) for mark in marks)]


@pytest.mark.parametrize(
    ("name", "function"), [*_programs()], ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_program_has_an_option_that_it_never_reads(name: str, function: ast.FunctionDef) -> None:
    """Also those of benchmarks and of what invents data, which are too slow for the table above."""
    read = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert set(_of_the_command_line(function)) <= read, name


@pytest.mark.parametrize("path", ["tests/chaos/__main__.py", "tests/chaos/soak.py"])
def test_no_argparse_program_has_one_either(path: str) -> None:
    """`script/crashtest` and `script/soak`."""
    text = (ROOT / path).read_text(encoding="utf-8")
    options = re.findall(r'add_argument\(\s*"--([\w-]+)"', text)
    assert options
    assert [each for each in options if f"arguments.{each.replace('-', '_')}" not in text] == []


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("simulation.esports.messages", ["--kafka", "--output", "x"]),
        ("simulation.esports.messages", ["--speed", "0"]),
        ("simulation.ecommerce.events", ["--bogus"]),
    ],
)
def test_what_invents_data_refuses_wrong_options(program: str, options: list[str], tmp_path: Path) -> None:
    """With exit code 2, and nothing is written."""
    command = [sys.executable, "-m", program, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert not list(tmp_path.iterdir())
