"""The actions of a crash loop, done to a pipeline and its surroundings."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.plan import NETWORK_FAULTS, Action
from tests.chaos.supervisor import Supervisor
from tests.chaos.workload import Workload

_WAIT_SECONDS = 600.0
# A job that has just started has no commits yet.
_COMMITS_SECONDS = 15.0
# How many times larger batches are after a lost checkpoint.
_ALL_AGAIN = 10
# A broker may come back before its controller has noticed that it was gone, and is refused.
_START_TRIES = 3
# A full pass writes beside the job: nothing of the two may be in one file.
_OWN = ("CHECKPOINT_LOCATION", "METRICS_DIRECTORY", "DLQ_DIRECTORY", "LOG_DIRECTORY")


class Actions:
    """Does them, one after the other, by the names of the plan; knows when others were at fault.

    `wait_seconds` and `wait_until` look after the job meanwhile; `event` is told what was done.
    """

    def __init__(
        self,
        work: Workload,
        wait_seconds: Callable[[float], None],
        wait_until: Callable[[Callable[[], bool], float, str], None],
        event: Callable[[str], None],
    ) -> None:
        self._work, self._around = work, work.around
        # Who runs the job.
        self.supervisor: Supervisor
        self._wait_seconds, self._wait_until, self._event = wait_seconds, wait_until, event
        self._disturbed_until = 0.0
        # Commands that run beside the job, and since when.
        self._commands: list[tuple[str, subprocess.Popen[str], float]] = []

    @property
    def disturbing(self) -> bool:
        """Whether something is wrong now."""
        return self._disturbed_until > time.monotonic()

    def disturbed(self, since: float) -> bool:
        """Whether something has been wrong since then."""
        return self._disturbed_until >= since

    def do(self, action: Action) -> None:
        """Do it to the end: what was broken is whole again."""
        self._event(action.told())
        if action.kind in NETWORK_FAULTS:
            self._break_network(action.kind, **action.options)
        else:
            getattr(self, f"_{action.kind}")(**action.options)

    def wait_for_commands(self) -> None:
        """Those that run beside the job end well, or were disturbed. Raises AssertionError."""
        while self._commands:
            name, process, began = self._commands.pop()
            self._wait_until(lambda: process.poll() is not None, _WAIT_SECONDS, f"the end of {name}")  # noqa: B023
            self._event(f"{name} ended with {process.returncode}")
            assert process.returncode == 0 or self.disturbed(began), f"{name} ended with {process.returncode}"

    # --- what is around the job -------------------------------------------------------------------

    def _break_network(self, fault: str, server: str, seconds: float, **shape: int) -> None:
        door = self._around.doors[server]
        self._disturbed_until = float("inf")
        getattr(door, fault)(**shape)
        self._wait_seconds(seconds)
        door.heal()
        self._disturbed_until = time.monotonic()

    def _kill_server(self, server: str, part: str, seconds: float) -> None:
        killed = self._around.servers[server]
        self._disturbed_until = float("inf")
        killed.kill(part)
        self._wait_seconds(seconds)
        for _ in range(_START_TRIES):
            starting = killed.start_in_background()
            self._wait_until(lambda one=starting: one.poll() is not None, _WAIT_SECONDS, f"{server} to start")  # type: ignore[misc]
            if starting.returncode == 0:
                break
        assert starting.returncode == 0, f"{server} did not start again"
        self._disturbed_until = time.monotonic()

    def _full_disk(self, seconds: float) -> None:
        assert self._around.disk is not None
        self._disturbed_until = float("inf")
        self._around.disk.fill()
        self._wait_seconds(seconds)
        self._around.disk.free()
        self._disturbed_until = time.monotonic()

    # --- the job ----------------------------------------------------------------------------------

    def _kill_job(self) -> None:
        self.supervisor.kill()

    def _kill_jvm(self) -> None:
        if not self.supervisor.kill_jvm():
            self._event("no JVM yet")

    # --- what lies in its checkpoint --------------------------------------------------------------

    def _delete_commits(self, which: str) -> None:
        """Let Spark not know that it has done its last batch, while it runs."""
        end = time.monotonic() + _COMMITS_SECONDS
        while not (queries := self._queries()) and time.monotonic() < end:
            self._wait_seconds(0.1)
        for query in queries:
            commits = sorted(query.glob("[0-9]*"), key=lambda path: int(path.name))
            for path in commits[-1:] if which == "newest" else commits:
                path.unlink(missing_ok=True)
                path.with_name(f".{path.name}.crc").unlink(missing_ok=True)
            self._event(f"{len(commits)} commits were there")

    def _queries(self) -> list[Path]:
        folders = self._around.folders["checkpoint_location"].rglob("commits")
        return [folder for folder in folders if any(folder.glob("[0-9]*"))]

    def _lose_checkpoint(self) -> None:
        self._work.checkpoint_was_lost = True
        self.supervisor.stop()
        shutil.rmtree(self._around.folders["checkpoint_location"], ignore_errors=True)
        # All comes again: of a long run hundreds of the small batches.
        larger = {name: str(_ALL_AGAIN * int(value)) for name, value in self._work.cuts.items()}
        self._work.job.environment |= larger

    # --- other commands ---------------------------------------------------------------------------

    def _retry_letters(self) -> None:
        began = time.monotonic()
        self.supervisor.stop()
        code = self._work.job.run("dlq", "retry", *self._work.arguments)
        assert code == 0 or self.disturbed(began), f"dlq retry ended with {code}"

    def _beside(self, command: str) -> None:
        # Another one in the same folder is refused while the first runs.
        self.wait_for_commands()
        script, *arguments = self._work.beside[command]
        folder = self._around.folder / "beside"
        own = {setting: str(folder / setting.lower()) for setting in _OWN}
        process = self._work.job.start(*arguments, script=script, **own)
        self._commands.append((command, process, time.monotonic()))
