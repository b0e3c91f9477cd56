"""The pages of the reference that are made of the program: settings, commands, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click

from commands import pulse
from deploy.grafana.registry import metrics_of
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from settings import Settings

_ENV = Path(__file__).resolve().parents[2] / ".env.example"
_SECTION, _VALUE = re.compile(r"# --- (.+?) -+$"), re.compile(r"([A-Z_]+)=(.*)$")
_BOUNDS = {"minimum": "≥ ", "exclusiveMinimum": "> ", "maximum": "≤ ", "exclusiveMaximum": "< "}


def settings_page() -> str:
    """Every setting of `.env.example` with its explanation there, and what `Settings` takes for it."""
    lines = [
        "# Settings",
        "",
        "Made of `.env.example` and `settings.py`. They come from the environment, else from `.env`.",
        "`./pulse config` shows what is in force, and where each comes from.",
        "",
    ]
    taken, remark = _taken(), list[str]()
    for line in _ENV.read_text(encoding="utf-8").splitlines():
        section, value = _SECTION.match(line), _VALUE.match(line)
        if section:
            lines += [
                "",
                f"## {section[1]}",
                "",
                "| setting | default | takes | what it is |",
                "|---|---|---|---|",
            ]
        elif value:
            name, default = value.groups()
            shown = f"`{default}`" if default else ""
            lines.append(f"| `{name}` | {shown} | {_cell(taken[name])} | {_cell(' '.join(remark))} |")
        # What stands above the first section is of the file.
        remark = [*remark, line.removeprefix("# ")] if line.startswith("# ") and not section else []
    return "\n".join([*lines, ""])


def _taken() -> dict[str, str]:
    """What each setting takes, in words, by its name."""
    properties: dict[str, Any] = Settings.model_json_schema()["properties"]
    return {name.upper(): ", ".join(_words(each)) for name, each in properties.items()}


def _words(schema: dict[str, Any]) -> Iterator[str]:
    kinds = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    # Money is a number, or a text of one.
    kind = next((each for each in kinds if each["type"] == "number"), kinds[0])
    if "enum" in kind:
        yield " or ".join(f"`{each}`" for each in kind["enum"])
    elif kind["type"] == "boolean":
        yield "`true` or `false`"
    else:
        yield {"integer": "whole number", "number": "number", "string": "text"}[kind["type"]]
    yield from (f"{sign}{kind[bound]:,}" for bound, sign in _BOUNDS.items() if bound in kind)
    if kind.get("writeOnly"):
        yield "secret"


def commands_page() -> str:
    """Every command with its options, as `--help` tells them."""
    command = typer.main.get_command(pulse.app)
    # Its commands stand at the top too.
    getattr(command, "commands").pop(DEFAULT_PIPELINE)  # noqa: B009
    told = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="./pulse"), name="./pulse")
    _, _, rest = told.partition("\n")
    about = f"`./pulse {DEFAULT_PIPELINE} COMMAND` is `./pulse COMMAND`. Made of the program's `--help`."
    return f"# Commands\n\n{about}\n{rest}"


def metrics_page() -> str:
    """Every Prometheus metric of each pipeline, as its code makes it."""
    lines = [
        "# Metrics",
        "",
        "Made of the program's registry. What to look at: [operations](../operations.md).",
    ]
    for name, one in PIPELINES.items():
        lines += ["", f"## {one.title}", "", "| metric | kind | labels | what it is |", "|---|---|---|---|"]
        for metric, each in metrics_of(name).items():
            labels = ", ".join(f"`{label}`" for label in each.labels)
            lines.append(f"| `{metric}` | {each.kind} | {labels} | {_cell(each.text)} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
