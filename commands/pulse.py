"""`pulse [PIPELINE] COMMAND`: the commands of `main.py` and `process_batch.py` with one grammar.

Without a pipeline they are about the default one.
"""

from __future__ import annotations

import inspect as signatures
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from commands import checkpoint, dlq, metrics
from commands.batch import batch
from commands.check import check
from commands.common import guarded
from commands.compaction import compaction
from commands.config import config
from commands.dashboard import dashboard
from commands.explain import explain
from commands.export import export
from commands.forget import forget
from commands.inspect import inspect
from commands.mcp import mcp
from commands.prepare import prepare
from commands.replay import replay
from commands.report import report
from commands.retention import retention
from commands.run import demo, once, run
from commands.selftest import selftest
from commands.top import top
from commands.weekly_letter import letter
from monitoring.logs import mask_uncaught
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from pipelines.engine.pipeline import ALL_PARTS, Pipeline

VERSION = "1.0.0"

# What it does not know goes to the program behind it.
HANDED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


class _FlagsAlone:
    """Shows an option that takes no value without a type; typer writes `--once <bool>`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters as typer reads them."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for each in found:
            if getattr(each, "is_flag", False):
                each.metavar = ""
        return found


class Command(_FlagsAlone, TyperCommand):
    """A command."""


class Group(_FlagsAlone, TyperGroup):
    """Commands under one name."""


def _group(about: str) -> typer.Typer:
    group = typer.Typer(cls=Group, add_completion=False)
    group.callback(invoke_without_command=True, help=about)(_help_alone)
    return group


def _help_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app = typer.Typer(cls=Group)


@app.callback(invoke_without_command=True)
def pulse(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Streaming analytics with Spark: pulse [PIPELINE] COMMAND; without a PIPELINE it is health."""
    if version:
        typer.echo(f"pulse {VERSION}")
        raise typer.Exit
    _help_alone(context)


def about(command: Callable[..., None], **given: object) -> Callable[..., None]:
    """`command` with the parameters `given`, which are then no options of it any more."""
    taken = signatures.signature(command, eval_str=True)
    known = {name: value for name, value in given.items() if name in taken.parameters}

    def call(**rest: Any) -> None:
        command(**known, **rest)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    left = [each for each in taken.parameters.values() if each.name not in known]
    call.__signature__ = taken.replace(parameters=left)  # type: ignore[attr-defined]
    return call


def add_commands(group: typer.Typer, one: Pipeline) -> None:
    """Give `group` the commands about the pipeline `one`."""
    given: dict[str, object] = {"pipeline": one.name}
    if not one.parts:
        given["job_name"] = ALL_PARTS

    def add(name: str, command: Callable[..., None], **how: Any) -> None:
        group.command(name, cls=Command, **how)(about(command, **given))

    def add_all(name: str, commands: typer.Typer) -> None:
        below = _group(str(commands.info.help))
        for each in commands.registered_commands:
            below.command(each.name, cls=Command)(about(each.callback or print, **given))
        group.add_typer(below, name=name)

    add("run", run)
    add("once", once)
    if one.demo:
        add("demo", demo)
    add("check", check)
    add_all("dlq", dlq.app)
    add("report", report)
    add("forget", forget)
    if one.figures:
        add("stats", metrics.figures_command(one.title, one.figures))
    if one.parquet:
        add("compact", compaction(one.name, one.parquet))
    if one.simulator:
        add("simulate", _simulation(one.simulator), add_help_option=False, context_settings=HANDED_ON)
    if one.name == DEFAULT_PIPELINE:
        add("batch", batch)
        add("inspect", inspect)
        add("explain", explain)
        add("export", export)
        add("replay", replay)
        add("letter", letter)
        add("selftest", selftest)
        add_all("checkpoint", checkpoint.app)


def _simulation(module: str) -> Callable[..., None]:
    """The program of `module`, whose options only itself knows."""

    def simulate(context: typer.Context) -> None:
        """Invent records for it; --help tells how many, where to and how fast."""
        program = typer.Typer(add_completion=False)
        program.command(cls=Command)(import_module(module).main)
        program(context.args, standalone_mode=False, prog_name=context.command_path)

    return simulate


add_commands(app, PIPELINES[DEFAULT_PIPELINE])
app.command(cls=Command)(config)
app.command(cls=Command, context_settings=HANDED_ON)(dashboard)
app.command(cls=Command)(mcp)
app.command(cls=Command)(prepare)
app.command(cls=Command)(top)
# Without a pipeline it is about all of them.
app.command(cls=Command)(retention)
for declared in PIPELINES.values():
    pipeline = _group(declared.does)
    add_commands(pipeline, declared)
    pipeline.command(cls=Command)(about(retention, pipeline=declared.name))
    app.add_typer(pipeline, name=declared.name, rich_help_panel="Pipelines")


def main() -> int:
    """Run the command line's command; returns the exit code."""
    mask_uncaught()
    return guarded(partial(app, standalone_mode=False, prog_name="pulse"))
