"""Crash loops: the service, its servers and its network are broken at random, and nothing may be lost.

A loop lets writers write while its actions strike, then heals everything, marks the end of the writes, and
waits until the job says that it has passed the mark. From that moment, without further waiting, the sink must
equal the reference. What the job claims is judged while it runs and after each of its crashes; after each
loop the dead letters must be those of what is bad.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.chaos.health import HealthWorkload
from tests.chaos.plan import DELETED_COMMITS, NETWORK_FAULTS, Action, draw_actions, draw_fault
from tests.chaos.servers import MongoServer
from tests.chaos.supervisor import Supervisor
from tests.chaos.tally import Tally
from tests.chaos.workload import Workload
from tests.support.job import HealthJob
from tests.support.toxiproxy import Proxy, through

_SETTLE_SECONDS = 300.0
_LETTERS_SECONDS = 120.0
_LAST_WRITES_SECONDS = 0.5
_TICK_SECONDS = 0.03
# A job that has just started has no commits yet.
_TICKER_SECONDS = 15.0
_TIMEOUT_MS = 2_000
_JOB_SETTINGS = {
    "RETRY_BASE_SECONDS": "0.1",
    "RETRY_MAX_SECONDS": "1",
    "MONGO_TIMEOUT_SECONDS": str(_TIMEOUT_MS / 1000),
    "SPARK_MASTER": "local[2]",
}


class LoopFailedError(AssertionError):
    """A loop that found something; the message is all that a person needs to look into it."""


class CrashTest:
    """One database, one job and its writers, through any number of loops."""

    def __init__(
        self, folder: Path, server: MongoServer, proxy: Proxy, seed: int, say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._server = server
        self._proxy = proxy
        self._say = say
        self.tally = Tally()
        options: dict[str, Any] = {"serverSelectionTimeoutMS": _TIMEOUT_MS, "uuidRepresentation": "standard"}
        self._client = MongoClient[dict[str, Any]](server.uri, tz_aware=True, **options)
        database = self._client[f"crashtest_{secrets.token_hex(4)}"]
        self._work: Workload = HealthWorkload(folder, database, seed)
        job = HealthJob(folder, f"{through(proxy, server.uri)}&socketTimeoutMS={_TIMEOUT_MS}", database)
        job.environment.update({**_JOB_SETTINGS, **self._work.settings})
        self._supervisor = Supervisor(job, self._arm, self._was_disturbed, self._died)
        self._seed = seed
        self._starts = 0
        self._first_fault: str | None = None
        self._events: list[str] = []
        self._began = 0.0
        self._disturbed_until = 0.0

    def run(self, loops: int, first_fault: str | None = None) -> None:
        """Run `loops` loops, counting the seed up; raises LoopFailedError at the first that fails.

        `first_fault` arms the first start in place of what the seed says (to replay a loop of a longer run).
        """
        self._first_fault = first_fault
        self._work.prepare()
        self._supervisor.start()
        try:
            self._wait_until(self._work.started, _SETTLE_SECONDS, "the first batch")
            for number in range(1, loops + 1):
                self._one_loop(number, loops)
                self._seed += 1
            self._end()
        finally:
            self._work.close()
            self._supervisor.close()
            self.tally.writes = self._work.counts
            self._client.close()

    # --- one loop ---------------------------------------------------------------------------------

    def _one_loop(self, number: int, loops: int) -> None:
        self._began = began = time.monotonic()
        armed, self._starts, self._events = self._supervisor.fault, 0, []
        actions = draw_actions(self._seed)
        try:
            self._act(actions)
            recovery = self._settle()
        except Exception as error:
            raise LoopFailedError(self._explain(number, armed, actions, error)) from error
        self.tally.loops += 1
        self.tally.recoveries.append(recovery)
        self._say(
            f"loop {number}/{loops} (seed {self._seed}) ok, {time.monotonic() - began:.1f} s, "
            f"recovered in {recovery:.1f} s, armed with {armed or 'nothing'}: {'; '.join(self._events)}"
        )

    def _explain(self, number: int, armed: str, actions: list[Action], error: Exception) -> str:
        return "\n".join(
            [
                f"loop {number} failed: {error}",
                f"its plan (seed {self._seed}; the job was armed with {armed or 'nothing'}):",
                *(f"  {action}" for action in actions),
                "what happened:",
                *(f"  {event}" for event in self._events),
                f"this loop again:    script/crashtest --loops 1 --seed {self._seed} --fault '{armed}'",
                f"the run up to here: script/crashtest --loops {number} --seed {self._seed - number + 1}",
            ]
        )

    def _act(self, actions: list[Action]) -> None:
        thread = self._work.write()
        try:
            for action in actions:
                self._wait_seconds(action.after)
                self._do(action)
            self._wait_seconds(_LAST_WRITES_SECONDS)
        finally:
            self._work.stop_writing()
        self._wait_until(lambda: not thread.is_alive(), _SETTLE_SECONDS, "the last write")

    def _settle(self) -> float:
        """Wait until the job has done everything, judge, and return how long it took."""
        began = time.monotonic()
        self._work.mark()
        self._wait_until(self._work.caught_up, _SETTLE_SECONDS, "the job to catch up")
        recovery = time.monotonic() - began
        self._work.check_result()
        self._wait_for_letters()
        return recovery

    def _wait_for_letters(self) -> None:
        """Letters of what was mended go with the next retry."""
        end = time.monotonic() + _LETTERS_SECONDS
        while True:
            try:
                self._work.check_dead_letters()
            except AssertionError:
                if time.monotonic() > end:
                    raise
            else:
                return
            self._wait_seconds(_TICK_SECONDS * 10)

    def _end(self) -> None:
        """The orderly end."""
        self._wait_until(lambda: self._supervisor.running, _SETTLE_SECONDS, "the job to run")
        self._say("stopping the job")
        assert self._supervisor.terminate() in (0, -9), "SIGTERM must end the job well"
        self._work.check_end()

    # --- the actions ------------------------------------------------------------------------------

    def _do(self, action: Action) -> None:
        self._event(action.told())
        self.tally.actions[action.kind] += 1
        if action.kind in NETWORK_FAULTS:
            self._break_network(action)
        elif action.kind == "kill_job":
            self._supervisor.kill()
        elif action.kind == "kill_jvm":
            if not self._supervisor.kill_jvm():
                self._event("no JVM yet")
        elif action.kind == DELETED_COMMITS:
            self._delete_commits(action.options["which"])
        else:
            self._restart_servers(action)

    def _break_network(self, action: Action) -> None:
        self._disturbed_until = float("inf")
        if action.kind == "latency":
            milliseconds = action.options["milliseconds"]
            self._proxy.latency(milliseconds, milliseconds // 2)
        else:
            getattr(self._proxy, action.kind)()
        self._wait_seconds(action.options["seconds"])
        self._proxy.heal()
        self._disturbed_until = time.monotonic()

    def _restart_servers(self, action: Action) -> None:
        self._disturbed_until = float("inf")
        parts = {"kill_ferretdb": "ferretdb", "kill_postgres": "postgres"}
        self._server.kill(parts.get(action.kind, ""))
        self._wait_seconds(action.options["down_seconds"])
        starting = self._server.start_in_background()
        self._wait_until(lambda: starting.poll() is not None, _SETTLE_SECONDS, "the servers to start")
        assert starting.returncode == 0, "script/mongo-server did not start again"
        self._disturbed_until = time.monotonic()

    def _delete_commits(self, which: str) -> None:
        """The ticker's Spark checkpoint is disposable: its commits may go while it runs."""
        folder = self._folder / "spark-checkpoints" / "ticker" / "commits"
        end = time.monotonic() + _TICKER_SECONDS
        while not any(folder.glob("[0-9]*")) and time.monotonic() < end:
            self._wait_seconds(_TICK_SECONDS)
        commits = sorted(folder.glob("[0-9]*"), key=lambda path: int(path.name))
        for path in commits[-1:] if which == "newest" else commits:
            path.unlink(missing_ok=True)
        self._event(f"{len(commits)} commits were there")

    # --- looking after it -------------------------------------------------------------------------

    def _arm(self) -> str:
        fault = draw_fault(self._seed, self._starts, self._work.steps)
        if self._first_fault is not None:
            fault, self._first_fault = self._first_fault, None
        self._starts += 1
        return fault

    def _was_disturbed(self, since: float) -> bool:
        return self._disturbed_until >= since

    def _died(self, how: str) -> None:
        self._event(how)
        self.tally.deaths[how] += 1
        # The server can be asked only while nothing is wrong with it.
        if self._disturbed_until <= time.monotonic() and self._work.check_crash_state():
            self.tally.crash_states_checked += 1

    def _tick(self) -> None:
        self._supervisor.tick()
        with suppress(PyMongoError):
            self.tally.cursors_seen += self._work.watch()

    def _wait_seconds(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._tick()
            time.sleep(_TICK_SECONDS)

    def _wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
            self._tick()
            time.sleep(_TICK_SECONDS)

    def _event(self, text: str) -> None:
        self._events.append(f"{time.monotonic() - self._began:.1f} s {text}")
