"""The documentation is true: links lead somewhere, commands and options exist, settings are all there."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
from dotenv import dotenv_values
from typer.testing import CliRunner

import main
import process_batch
from commands import pulse
from settings import Settings
from tests.support.documents import ROOT, Block, anchors, blocks, links, markdown_files
from tests.support.parsing import misuse

FILES = markdown_files()
CODE = [block for file in FILES for block in blocks(file)]
# Where a command ends: redirections, pipes, the next command, a remark, the rest of a sentence.
_END = re.compile(r"\s(?:[<>|&;#]|2>|\|\|)|[)]?[…]|$", re.MULTILINE)
_RUN = re.compile(r"(?:main|process_batch)\.py(?![\w/])|(?:(?<=\./)|(?<=python )|^)pulse(?= )", re.MULTILINE)
_SCRIPT = re.compile(r"(?<![\w./\]-])script/[\w-]+")
# Commands that answer without a server; everything else is only checked for its options.
_CHEAP = {"config", "checkpoint show", "dlq list"}


def _commands(name: str) -> Iterator[tuple[Block, list[str]]]:
    """What the documentation passes to `name`, in every place."""
    for block in CODE:
        for found in _RUN.finditer(block.text):
            if found.group() != name:
                continue
            # As a grammar is written.
            if block.text[found.end() :].startswith(" [PIPELINE]"):
                continue
            rest = block.text[found.end() :].replace("\\%", "%")
            end = _END.search(rest)
            yield block, shlex.split(re.sub(r"[\[\]]", "", rest[: end.start() if end else None]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_somewhere(file: Path) -> None:
    """Relative links name a file or folder of the checkout, anchors a heading; other addresses are https."""
    broken = []
    for link in links(file):
        path, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z]+:", path):
            if not path.startswith("https://"):
                broken.append(link)
            continue
        target = (file.parent / path).resolve() if path else file
        known = anchors(target) if anchor and target.is_file() else {anchor}
        if not target.exists() or not target.is_relative_to(ROOT) or anchor not in known:
            broken.append(link)
    assert broken == []


def test_every_page_is_in_the_index() -> None:
    """Somebody who opens docs/ finds all of it, and the README leads there."""
    index = ROOT / "docs" / "README.md"
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages - set(links(index)) == set(), "add a row to docs/README.md"
    assert "docs/README.md" in set(links(ROOT / "README.md"))


@pytest.mark.parametrize(
    ("name", "program", "least"),
    [("pulse", pulse.app, 100), ("main.py", main.app, 2), ("process_batch.py", process_batch.app, 1)],
)
def test_every_documented_command_exists_with_its_options(
    name: str, program: typer.Typer, least: int
) -> None:
    """Parsed by the command line itself, which is not run."""
    command = typer.main.get_command(program)
    found = list(_commands(name))
    assert len(found) >= least, "the documentation's commands are not found any more"
    misused = [(block, words, misuse(command, words)) for block, words in found]
    wrong = [f"{block}: {name} {shlex.join(words)}: {why}" for block, words, why in misused if why]
    assert wrong == []


def test_a_command_has_one_form() -> None:
    """Earlier ones stand where they are told to be so, and in what was written when they were new."""
    earlier = re.compile(r"\bpython (main|process_batch)\.py|python -m (simulation|commands)")
    told_of = {"CHANGELOG.md", "operations.md", "upgrading.md"}
    found = {str(block) for block in CODE if earlier.search(block.text) and block.file.name not in told_of}
    assert found == set()


def test_a_command_that_does_not_exist_is_noticed() -> None:
    """The check above can fail: an unknown command, an unknown option, a missing argument."""
    command = typer.main.get_command(pulse.app)
    for words in (
        "inspekt",
        "check --jason",
        "checkpoint set",
        "checkpoint show now",
        "run --onse",
        "stock inspect",
        "stock run --job matches",
    ):
        assert misuse(command, words.split()), words
    for words in (
        "",
        "once",
        "--version",
        "esports run --job matches",
        "check --json",
        "checkpoint set 2026-01-01 --dry-run",
        "dlq --help",
    ):
        assert not misuse(command, words.split()), words


def test_every_path_that_contributors_are_sent_to_exists() -> None:
    """Each path in CONTRIBUTING.md, but for those with the NAME of what is to be added."""
    page = ROOT / "CONTRIBUTING.md"
    named = {block.text for block in CODE if block.file == page and block.language == "inline"}
    paths = {text for text in named if re.fullmatch(r"[\w./-]+(/|\.(md|py|toml|example))", text)}
    paths -= {
        text for text in paths if "NAME" in text or text in ("batch.py", "letters.py", "job.py", "demo.py")
    }
    assert len(paths) > 30, "the paths are not found any more"
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_the_glossary_has_each_word_once_in_order() -> None:
    """One meaning for a word, and a place at which it is looked for."""
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    words = [row.split(" | ")[0].removeprefix("| ") for row in page.splitlines() if row.startswith("| ")][1:]
    assert words == sorted(set(words), key=str.lower)
    assert {"health", "drain", "page", "piece", "dead letter, or letter", "retry", "written"} <= set(words)


def test_every_documented_script_exists() -> None:
    """It is there, it can be executed, and it knows each option it is shown with."""
    wrong = []
    for block in CODE:
        for found in _SCRIPT.finditer(block.text):
            script = ROOT / found.group()
            line = block.text[found.end() :].partition("\n")[0]
            end = _END.search(line)
            options = re.findall(r"(?<=\s)--[\w-]+", line[: end.start() if end else None])
            known = script.read_text(encoding="utf-8") if script.is_file() else ""
            if not os.access(script, os.X_OK):
                wrong.append(f"{block}: {found.group()}")
            wrong += [f"{block}: {found.group()} {option}" for option in options if option not in known]
    assert wrong == []


def test_the_cheap_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that need no server are run as they are documented, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONGO_URI", "mongomock://docs")
    run = {shlex.join(words) for _, words in _commands("pulse") if " ".join(words) in _CHEAP}
    assert run == _CHEAP
    for words in sorted(run):
        result = CliRunner().invoke(pulse.app, words.split())
        assert result.exit_code == 0, f"{words}: {result.output}"


def test_every_setting_has_one_line_of_explanation() -> None:
    """`.env.example` is the reference: each setting stands below a remark of its own."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"[A-Z_]+=", line) and (not before.startswith("# ") or before.startswith("# ---"))
    ]
    assert bare == []


def test_settings_named_in_the_documentation_exist() -> None:
    """Blocks that show a part of `.env` have no key that no setting has."""
    known = {name.upper() for name in Settings.model_fields}
    shown = {
        key
        for block in CODE
        if block.language in ("ini", "dotenv")
        for key in re.findall(r"^([A-Z_]+)=", block.text, re.MULTILINE)
    }
    assert shown
    assert shown <= known
    assert set(dotenv_values(ROOT / ".env.example")) == known


def test_every_guarantee_names_tests_that_exist() -> None:
    """A promise whose test was renamed or deleted is no promise."""
    page = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", code, re.MULTILINE))
    assert named
    assert named - defined == set()


@pytest.mark.parametrize("pipeline", ["stock", "esports", "ecommerce"])
def test_what_a_pipeline_says_of_its_dead_letters_names_it(pipeline: str) -> None:
    """Without it the commands are about the health pipeline's letters."""
    rooms = [path for path in ROOT.glob(f"*/{pipeline}/**/*.py") if path.parts[-3] != "tests"]
    texts = [path.read_text() for path in (ROOT / "docs" / f"{pipeline}.md", *rooms)]
    found = [
        hint for text in texts for hint in re.findall(r"`[^`\n]*\bdlq (?:list|retry|purge)[^`\n]*`", text)
    ]
    assert found
    assert [hint for hint in found if f"{pipeline} dlq" not in hint] == []


def test_the_version_stands_in_one_place() -> None:
    """Images are named after the program's, wherever one is named."""
    files = [*FILES, *(file for file in (ROOT / "deploy").rglob("*") if file.is_file())]
    named = {
        (file.name, tag)
        for file in files
        for tag in re.findall(r"health-analytics[\w-]*:(\d+\.\d+[\w.]*)", file.read_text(errors="ignore"))
    }
    assert {tag for _, tag in named} == {pulse.VERSION}, named
