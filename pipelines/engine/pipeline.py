"""What a pipeline declares of itself, once: commands, checks, pages, demos and documents ask this object."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from contracts import ConfigurationError
from pipelines.engine.stop_flag import StopFlag

if TYPE_CHECKING:
    from rich.console import Console

    from contracts.lineage import Lineage
    from pipelines.engine.demo_rig import Rig
    from pipelines.engine.letter_desk import LetterDesk
    from pipelines.engine.retention import Kept
    from settings import Settings
    from sinks.dead_letters import DeadLetters, Letter, Owner, RetryOutcome

ALL_PARTS = "all"


class Retry(Protocol):
    """Tries dead letters again."""

    def __call__(self, letters: Iterable[Letter], stop: Callable[[], bool] = ...) -> RetryOutcome:
        """Try `letters` one piece after another, until there is none left or `stop`."""
        ...


class Job(Protocol):
    """A pipeline that is built, checked and connected."""

    def once(self, stop: StopFlag) -> bool:
        """Process what is there now; False when it failed."""
        ...

    def stream(self, stop: StopFlag) -> bool:
        """Process until `stop`; False when it had to give up."""
        ...

    def finish(self, out: Callable[[str], None]) -> None:
        """Tell `out` what the session did."""
        ...


def later(name: str) -> Callable[..., Any]:
    """The function `module:function`, whose module is imported when it is called.

    So a declaration needs neither Spark nor the driver of any server.
    """

    def call(*arguments: Any, **named: Any) -> Any:
        module, _, function = name.partition(":")
        return getattr(importlib.import_module(module), function)(*arguments, **named)

    call.__name__ = name
    return call


class Parquet(NamedTuple):
    """The setting that names a pipeline's folder, and the `datasets` there, which `compact` merges.

    They are Delta tables where `delta_setting` has a value, which says where.
    """

    setting: str
    datasets: tuple[str, ...]
    delta_setting: str = ""


# Why a demo on an embedded store cannot be struck; `{}` are options of the script.
IN_MEMORY = (
    "This demo has no server: its MongoDB is a stand-in in the dashboard's own memory. A process of its own "
    "would begin with an empty store, and `kill -9` would take the store along with the pipeline, so nothing "
    "could be proven here. In a checkout `script/crashtest{}` kills the pipeline and a MongoDB of its own at "
    "random, and checks that nothing is lost or doubled; it needs Debian or Ubuntu, as root."
)


class Figures(NamedTuple):
    """How a pipeline is doing: each figure by name as people read it, and the same for scripts."""

    shown: Mapping[str, str]
    document: Mapping[str, Any]


class Benchmark(NamedTuple):
    """The module that `script/bench NAME` runs, and the `servers` that it fills (script/…-server)."""

    module: str
    servers: tuple[str, ...]


@dataclass(frozen=True)
class Pipeline:
    """A pipeline and where its parts are.

    `title` is for people. `does` says in one line what it reads and what it writes. `topics` are the settings
    that name what it reads from Kafka; `parts` are the streams that can run alone (`--job`). `steps` are the
    steps of a batch, in their order, as its log and its faults name them. `checks` yields what `check` looks
    at beside the machine; `letters_are_of_users`: its dead letters name a user, not a source of records.
    The names of its logs and metrics begin with `name`, unless they are not `prefixed`. `pages` gives the
    room of an installation's pages (`dashboard.page.Room`); `demo_pages` that of a demo whose files
    are in a folder, not yet started; `rig` makes what that demo is struck with
    (`pipelines.engine.demo_rig.Rig`), or says in a sentence, in Markdown, why it cannot be struck.
    `figures` reads from the sink how it did in a span of time until now. `keeps` lists what of its own data a
    setting may keep for some days only.
    `lineage` names what each stream reads and writes, by the stream's label in the batch log.
    `simulator` is the module whose `main` invents records for it. `forgets` finds a person to forget
    (`pipelines.engine.forgetting.Forgetting`), or says in a sentence why there is nobody to forget.
    """

    name: str
    title: str
    does: str
    steps: tuple[str, ...]
    open_job: Callable[[Settings, bool, str], AbstractContextManager[Job]]
    open_retry: Callable[[Settings], AbstractContextManager[Retry]]
    owner: Callable[[Settings], Owner]
    checks: Callable[[Settings], Iterator[Any]]
    topics: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    letters_are_of_users: bool = False
    prefixed: bool = True
    parquet: Parquet | None = None
    demo: Callable[[bool, Console, StopFlag], None] | None = None
    pages: Callable[[Settings], Any] | None = None
    demo_pages: Callable[[Path], Any] | None = None
    rig: Callable[..., Any] | str = ""
    benchmark: Benchmark | None = None
    figures: Callable[[Settings, timedelta], Figures] | None = None
    keeps: Callable[[Settings], Sequence[Kept]] | None = None
    lineage: Callable[[Settings], Mapping[str, Lineage]] | None = None
    simulator: str | None = None
    forgets: Callable[[Settings, str], Any] | str = "This pipeline keeps nothing about people."

    def run_demo(self, keep_running: bool, console: Console, stop: StopFlag) -> None:
        """Show the pipeline on data and stores of its own, until `stop`; by itself unless `keep_running`."""
        if self.demo is None:
            raise ConfigurationError(f"The pipeline {self.name} has no demo.")
        self.demo(keep_running, console, stop)

    def rig_of(self, *parts: Any) -> Rig:
        """What its demo is struck with, of the demo's own `parts`."""
        if isinstance(self.rig, str):
            raise ConfigurationError(self.rig or f"The demo of the pipeline {self.name} cannot be struck.")
        rig: Rig = self.rig(*parts)
        return rig

    @property
    def no_rig(self) -> str | None:
        """Why its demo cannot be struck; None where it can be."""
        return self.rig if isinstance(self.rig, str) else None

    def open_letters(self, settings: Settings) -> DeadLetters:
        """The dead-letter queue, without starting anything else."""
        letters: DeadLetters = later("pipelines.engine.reporting:open_letters")(self, settings)
        return letters

    def open_desk(self, settings: Settings) -> LetterDesk:
        """The dead letters as a page shows them, without starting anything else."""
        desk: LetterDesk = later("pipelines.engine.letter_desk:LetterDesk")(self, self.open_letters(settings))
        return desk

    def words_of(self, letter: Letter) -> Sequence[str]:
        """What is wrong with the record of `letter`, and what mends it."""
        words: Sequence[str] = later("pipelines.letter_words:words_of")(letter, self.name)
        return words
