"""Each option of each command is honoured or refused with one line; the cases come from the parsers."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from bson import ObjectId
from pymongo.collection import Collection

import commands.batch_results
import commands.checks.run
import commands.run
import main
import pipelines.health.job
import pipelines.health.selftest
import process_batch
import session
import sinks.parquet.compaction
from commands.checks.result import ok
from contracts import Rejected
from contracts.health import SOURCE_COLLECTION
from pipelines.catalog import DEFAULT_PIPELINE, PIPELINES
from pipelines.engine.pipeline import Figures, Pipeline, Retry
from pipelines.health.stores import open_cursor
from settings import load
from simulation.health.population import worked_example
from sinks.dead_letters import Letter, RetryOutcome
from sinks.parquet.compaction import Compaction
from sources.mongo_client import connect
from tests.support.command_line import run_command

NOW = datetime.now(timezone.utc).replace(microsecond=0)
LETTER, USER = ObjectId(), ObjectId()
# What an argument or an option that takes any text is given.
TEXTS = {
    "when": f"{NOW - timedelta(days=1):%Y-%m-%d}",
    "letter_id": "",
    "user": str(USER),
    "since": "2026-01-02",
}
# Nothing is left to confirm where nothing is changed.
WITHOUT_EFFECT = {("--dry-run", "--yes")}


TIME = re.compile(r"[-\d]{10}[T ][:\d]{8}\S*|(?<=_seconds\": )\d+")


class Effect(NamedTuple):
    """What a run said, asked of the parts below, and left in its folder; times are cut."""

    code: int
    out: str
    err: str
    did: list[object]
    files: dict[str, str]

    @property
    def is_refusal(self) -> bool:
        """Whether the options were refused, with one line and nothing else."""
        one_line = self.err.startswith("❌") and self.err.count("\n") == 1
        return self.code == 2 and one_line and not self.out and not self.did


class Option(NamedTuple):
    """An option as the command line has it; two of one `name` differ in their value."""

    name: str
    tokens: tuple[str, ...]


class Leaf(NamedTuple):
    """A command that has no commands: how it is started, with what it must be given, and its options."""

    app: Any
    path: tuple[str, ...]
    arguments: tuple[str, ...]
    options: tuple[Option, ...]

    def __str__(self) -> str:
        return " ".join([self.app.info.name or "main", *self.path])


def options_of(command: Any) -> Iterator[Option]:
    """The options of a parser, each with every value that it knows of, or with one that it may have."""
    for option in command.params:
        if option.param_type_name != "option" or option.name == "help":
            continue
        name = option.opts[0]
        if option.is_flag:
            yield Option(name, (name,))
            continue
        choices = re.findall(r"[\w-]+", option.metavar or "")
        number = {int: "2", float: "2.5"}.get(option.type_descriptor.annotation)
        for value in choices or [number or TEXTS[option.name]]:
            if value != option.default:
                yield Option(name, (name, value))


def leaves(app: Any) -> Iterator[Leaf]:
    """Every command of `app`, and `app` itself where it runs without one."""
    top = typer.main.get_command(app)

    def below(command: Any, path: tuple[str, ...]) -> Iterator[Leaf]:
        if not hasattr(command, "commands") or command.invoke_without_command:
            needed = tuple(
                TEXTS[each.name]
                for each in command.params
                if each.param_type_name == "argument" and each.required
            )
            yield Leaf(app, path, needed, tuple(options_of(command)))
        for name, each in getattr(command, "commands", {}).items():
            yield from below(each, (*path, name))

    return below(top, ())


LEAVES = [*leaves(main.app), *leaves(process_batch.app)]
TOP = LEAVES[0]
COMMANDS = [leaf for leaf in LEAVES[1:] if leaf.app is main.app]


class World:
    """A folder, an embedded database, letters of every pipeline; what needs Spark or a server is noted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder / "world", monkeypatch
        self.did: list[object] = []
        monkeypatch.setenv("MONGO_URI", "mongomock://options")
        monkeypatch.setenv("LOG_KEEP_DAYS", "30")
        self._replace_what_is_slow()

    def effect(self, leaf: Leaf, *options: Option, before: tuple[Option, ...] = ()) -> Effect:
        """All that running the command says, does and leaves, in a world made anew."""
        self._monkeypatch.chdir(self._folder.parent)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._monkeypatch.chdir(self._folder)
        self.did.clear()
        if leaf.path:
            _fill()
        early, late = ([token for option in some for token in option.tokens] for some in (before, options))
        ended = run_command(*early, *leaf.path, *leaf.arguments, *late, answer="y\n", app=leaf.app)
        assert "Traceback" not in ended.err, ended.err
        files = {str(path): path.read_text() for path in sorted(Path().rglob("*")) if path.is_file()}
        left = {name: TIME.sub("T", text) for name, text in files.items() if not name.startswith("logs")}
        return Effect(ended.code, TIME.sub("T", ended.out), TIME.sub("T", ended.err), [*self.did], left)

    def _replace_what_is_slow(self) -> None:
        for place, name, value in (
            (commands.run, "open_job", self._job),
            (Pipeline, "run_demo", lambda one, keep, *_: self.did.append(("demo", one.name, keep))),
            (commands.checks.run, "run_checks", lambda name: [ok("Looked at", name)]),
            (
                pipelines.health.selftest,
                "run_selftest",
                lambda *_: pipelines.health.selftest.Outcome(USER, [], 0),
            ),
            (session, "spark_session", lambda *_, **__: nullcontext()),
            (sinks.parquet.compaction, "compact", self._compact),
            (pipelines.health.job, "open_pipeline", lambda settings, _: self._job("health", settings, False)),
            (commands.batch_results, "results_since", lambda *_: commands.batch_results.RunResults((), 0, 0)),
        ):
            self._monkeypatch.setattr(place, name, value)
        for one in [*PIPELINES.values()]:
            figures = one.figures and self._figures
            noted = replace(one, open_retry=self._retry, figures=figures)
            self._monkeypatch.setitem(PIPELINES, one.name, noted)

    @contextmanager
    def _job(self, name: str, settings: Any, *how: object) -> Iterator[Any]:
        self.did.append((name, settings.log_json, settings.whole_summary, how))
        yield Job(self.did)

    def _compact(self, generations: Any, **how: object) -> Compaction:
        self.did.append((generations.path.name, how))
        return Compaction(0, 0, 0, 0)

    def _figures(self, _settings: Any, window: timedelta) -> Figures:
        return Figures({"window": str(window)}, {"window": window.total_seconds()})

    @contextmanager
    def _retry(self, _settings: Any) -> Iterator[Retry]:
        def retry(letters: Iterable[Letter], stop: Callable[[], bool] = lambda: False) -> RetryOutcome:
            read = [*letters]
            self.did.append([letter.record["source"] for letter in read])
            return RetryOutcome([letter.id for letter in read], [], stop())

        yield retry


class Job:
    """A job of any pipeline, which notes what it is asked for."""

    def __init__(self, did: list[object]) -> None:
        self._did = did
        self.clock = self.full = self.progress = self.target = self
        self.position = (1, 1)

    def next(self) -> datetime:
        """The time."""
        return NOW

    def once(self, _stop: object, *since: object) -> bool:
        """A bounded run."""
        self._did.append(("once", since))
        return True

    def stream(self, _stop: object) -> bool:
        """A stream."""
        self._did.append("stream")
        return True

    def run(self, _stop: object) -> int:
        """A full pass."""
        self._did.append("full")
        return 0

    def finish(self, _say: object) -> None:
        """The end."""


def _fill() -> None:
    """A cursor, a user's documents, a letter and an old log of each pipeline, and links as of Parquet."""
    settings = load()
    open_cursor(settings).set(NOW - timedelta(days=50), NOW)
    client = connect(settings.mongo_uri.get_secret_value())
    client.drop_database(settings.mongo_db_name)
    source: Collection[Any] = client[settings.mongo_db_name][SOURCE_COLLECTION]
    example = enumerate(worked_example(USER, NOW.date()))
    # One of them before the cursor's default.
    ages = (40, *[2] * 99)
    source.insert_many(
        [{**each, "_id": n, "updatedAt": NOW - timedelta(days=ages[n])} for n, each in example]
    )
    for one in PIPELINES.values():
        record = {"_id": LETTER, "userId": USER, "updatedAt": NOW, "source": one.name}
        one.open_letters(settings).store([Rejected(record, "out_of_range", "x")], "1", NOW)
        settings.log_directory.mkdir(exist_ok=True)
        prefix = f"{one.name}_" if one.prefixed else ""
        (settings.log_directory / f"{prefix}batch_logs_20200101.jsonl").touch()
        for name in one.parquet.datasets if one.parquet else ():
            output = Path(getattr(settings, one.parquet.setting.lower()))  # type: ignore[union-attr]
            output.mkdir(parents=True, exist_ok=True)
            (output / name).symlink_to(".")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Nothing has run."""
    return World(tmp_path, monkeypatch)


@pytest.mark.parametrize("leaf", LEAVES, ids=str)
def test_each_option_changes_what_its_command_does_or_is_refused(world: World, leaf: Leaf) -> None:
    """Alone, and beside each other option of the command."""
    alone = world.effect(leaf)
    assert world.effect(leaf) == alone, "what differs by itself proves nothing"
    effects = {option: world.effect(leaf, option) for option in leaf.options}
    ignored = [
        option.tokens for option, effect in effects.items() if effect == alone and not effect.is_refusal
    ]
    for first, second in itertools.combinations(leaf.options, 2):
        if first.name == second.name or (first.name, second.name) in WITHOUT_EFFECT:
            continue
        both = world.effect(leaf, first, second)
        if both in (effects[first], effects[second]) and not both.is_refusal:
            ignored.append(first.tokens + second.tokens)
    assert ignored == []


@pytest.mark.parametrize("leaf", COMMANDS, ids=str)
def test_an_option_before_a_command_is_the_commands_or_refused(world: World, leaf: Leaf) -> None:
    """`--pipeline stock check` is `check --pipeline stock`; `--once check` is nothing."""
    for option in TOP.options:
        early = world.effect(leaf, before=(option,))
        if option in leaf.options:
            assert early == world.effect(leaf, option), option.tokens
        else:
            assert early.is_refusal, option.tokens
            assert world.effect(leaf, option).is_refusal, option.tokens


def test_the_table_has_all_commands() -> None:
    """The parsers are read as they are meant to be."""
    assert {str(leaf) for leaf in LEAVES} >= {"main", "main check", "main dlq retry", "main stock compact"}
    assert Option("--pipeline", ("--pipeline", "stock")) in TOP.options


HEALTH = Option("--pipeline", ("--pipeline", DEFAULT_PIPELINE))


# `retention` means all.
@pytest.mark.parametrize("leaf", [leaf for leaf in COMMANDS if HEALTH not in leaf.options], ids=str)
def test_to_name_the_pipeline_that_is_meant_anyway_is_no_fault(world: World, leaf: Leaf) -> None:
    """Scripts do: `--pipeline health inspect`."""
    assert world.effect(leaf, before=(HEALTH,)) == world.effect(leaf)
