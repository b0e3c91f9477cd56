"""A place to break a pipeline in its demo: it runs as a process of its own, beside who sends to it.

What was sent is known here, record by record; what became of it is looked up in the store. So whatever
strikes, nobody has to believe the pipeline's own word.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import SecretStr

from contracts.striking import Blow, Look
from monitoring import logs
from pipelines.engine.pipeline import Job
from pipelines.engine.stop_flag import StopFlag
from settings import Settings, load
from told import HOME

# As a service manager waits before it starts a process anew.
_RESTART_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.5
_END_SECONDS: Final = 10.0


class Sender(Protocol):
    """Another program that sends to the pipeline; while it `is_paused` it sends nothing by itself."""

    is_paused: bool

    @property
    def sent(self) -> Mapping[str, int]:
        """How many records it sent, by the end that each is to have (`contracts.ENDS`)."""
        ...


@dataclass(frozen=True)
class Found:
    """What the store says became of the records, by end, and its `rows`, of which it must have `due`.

    All of it at one moment.
    """

    ends: Mapping[str, int]
    rows: int
    due: int

    @property
    def records(self) -> int:
        """How many came in."""
        return sum(self.ends.values())


@dataclass
class _Strike:
    """Something that was done: when, what, how many records had been sent by then.

    `caught_up` is when the store was first seen to have them all.
    """

    at: datetime
    what: str
    sent: int
    caught_up: datetime | None = None

    def as_blow(self) -> Blow:
        """As it is shown."""
        return Blow(
            self.at, self.what, (self.caught_up - self.at).total_seconds() if self.caught_up else None
        )


class Rig:
    """The sender, and the process that a demo hands its pipeline to when it `is_wanted`.

    `strikes` are what can be done to it, by what a button says; a pipeline adds its own.
    """

    def __init__(
        self,
        settings: Settings,
        sender: Sender,
        command: Sequence[str],
        store: str,
        find: Callable[[], Found | None],
        rows_are: str = "rows",
    ) -> None:
        """`command` runs the pipeline of `settings`, which it gets as its environment.

        `find` asks the `store`, whose name people know; None where it does not answer. `rows_are` says what
        the rows of it are.
        """
        self.sender = sender
        self.starts = 0
        self.is_wanted = threading.Event()
        self.strikes: dict[str, Callable[[], None]] = {"Kill the pipeline (kill -9)": self.kill}
        self._settings, self._command = settings, command
        self._store, self._find, self._rows_are = store, find, rows_are
        self._store_is_up = True
        self._struck: list[_Strike] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._found: Found | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def begin(self) -> None:
        """Let the pipeline go on as a process of its own."""
        self.is_wanted.set()

    def pause(self, is_paused: bool) -> None:
        """Let the sender send nothing by itself; or go on."""
        self.sender.is_paused = is_paused

    def look(self) -> Look:
        """How it is now."""
        # In this order: what is found was sent before.
        found = self._ask()
        return Look(
            store=self._store,
            sent=self.sender.sent,
            found=found.ends if found else None,
            rows=found.rows if found else 0,
            due=found.due if found else 0,
            rows_are=self._rows_are,
            starts=self.starts,
            is_wanted=self.is_wanted.is_set(),
            is_alive=self.is_alive,
            store_is_up=self._store_is_up,
            is_paused=self.sender.is_paused,
            blows=[strike.as_blow() for strike in self._struck],
        )

    def stream(self, job: Job, stop: StopFlag) -> None:
        """Run `job` in this process until it is wanted as one of its own, or all is to `stop`."""
        handed = StopFlag()

        def hand_over() -> None:
            while not self.is_wanted.wait(_LOOK_SECONDS) and not stop():
                pass
            handed.set()

        threading.Thread(target=hand_over, name="hand over", daemon=True).start()
        job.stream(handed)

    def supervise(self, stop: StopFlag) -> None:
        """Run the pipeline as a process, and start it again whenever it dies, until `stop`."""
        log = self._settings.log_directory / "process.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        while not stop():
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            self.starts += 1
            while self._process.poll() is None and not stop():
                stop.wait(_LOOK_SECONDS)
            if not stop():
                stop.wait(_RESTART_SECONDS)
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)

    def _environment(self) -> dict[str, str]:
        # It has to find this program's modules wherever it is started.
        paths = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, **environment_of(self._settings), "PYTHONPATH": os.pathsep.join(paths)}

    def kill(self) -> None:
        """Kill the pipeline's process where it stands: SIGKILL, which it cannot notice."""
        self._note("kill -9 of the pipeline")
        if self._process is not None:
            self._process.kill()

    def take_store(
        self, what: str, take: Callable[[], object], seconds: float, back: Callable[[], object]
    ) -> None:
        """Do `what`: `take` the store away for `seconds`, then bring it `back`."""
        self._note(what)
        self._store_is_up = False

        def again() -> None:
            take()
            threading.Event().wait(seconds)
            back()
            self._store_is_up = True

        threading.Thread(target=again, name="store", daemon=True).start()

    def send(self, what: str, write: Callable[[], object]) -> None:
        """Let the sender `write` something out of the ordinary."""
        write()
        self._note(what)

    def _ask(self) -> Found | None:
        """What became of the records so far; the last answer while the store is away."""
        if found := self._find():
            self._found = found
            for strike in self._struck:
                if strike.caught_up is None and found.records >= strike.sent:
                    strike.caught_up = datetime.now(timezone.utc)
        return self._found

    def _note(self, what: str) -> None:
        self._struck.append(_Strike(datetime.now(timezone.utc), what, sum(self.sender.sent.values())))


def environment_of(settings: Settings) -> dict[str, str]:
    """What a process must be given to have the settings that `settings` were given, wherever it runs.

    No fault is among them, whatever this process has.
    """
    given = {name.upper(): _text(getattr(settings, name)) for name in settings.model_fields_set}
    return {**{name: text for name, text in given.items() if text is not None}, "FAULT": ""}


def _text(value: Any) -> str | None:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())
    return None if value is None else str(value)


def demo_process(module: str) -> list[str]:
    """The command that runs `module`, which calls `run_process`, as a process of a rig."""
    return [sys.executable, "-m", module]


def run_process(run: Callable[[Settings, StopFlag], object]) -> None:
    """Be the process of a rig: `run` the pipeline with the settings of its environment, until SIGTERM."""
    settings = load(env_file=None)
    logs.configure(settings.log_level, settings.secrets(), settings.log_json)
    run(settings, StopFlag())
