"""Crash loops: service, servers, network and disk are broken at random, and nothing may be lost.

A loop lets writers write while its actions strike, then heals everything, marks the end of the writes, and
waits until the job says that it has passed the mark. From that moment, without further waiting, the sink must
equal the reference. What the job claims is judged while it runs and after each of its crashes; after each
loop the dead letters must be those of what is bad.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
from pymongo.errors import PyMongoError

from tests.chaos.actions import Actions
from tests.chaos.plan import Action, draw_actions, draw_fault
from tests.chaos.supervisor import Supervisor
from tests.chaos.tally import Tally, batches_of
from tests.chaos.workload import Workload

# Catches only what hangs: a loaded machine may be many times slower than a quiet one.
_SETTLE_SECONDS = 600.0
_LETTERS_SECONDS = 120.0
_LAST_WRITES_SECONDS = 0.5
_TICK_SECONDS = 0.03
# What a look at a server raises that is away.
_AWAY = (PyMongoError, psycopg.OperationalError)


class LoopFailedError(AssertionError):
    """A loop that found something; the message is all that a person needs to look into it."""


class CrashTest:
    """One pipeline, its job and its writers, through any number of loops."""

    def __init__(self, work: Workload, seed: int, say: Callable[[str], None]) -> None:
        self._work, self._seed, self._say = work, seed, say
        self.tally = Tally()
        self._actions = Actions(work, self._wait_seconds, self._wait_until, self._event)
        self._supervisor = Supervisor(
            work.job, work.arguments, self._arm, self._actions.disturbed, self._died
        )
        self._actions.supervisor = self._supervisor
        self._starts = 0
        self._first_fault: str | None = None
        self._events: list[str] = []
        self._began = 0.0

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
            self.tally.writes = self._work.counts
            self._work.close()
            self._supervisor.close()

    # --- one loop ---------------------------------------------------------------------------------

    def _one_loop(self, number: int, loops: int) -> None:
        self._began = began = time.monotonic()
        armed, self._starts, self._events = self._supervisor.fault, 0, []
        self._work.job.environment |= self._work.cuts
        actions = draw_actions(self._seed, self._work.means)
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
        command = f"script/crashtest --pipeline {self._work.name}"
        return "\n".join(
            [
                f"loop {number} failed: {type(error).__name__}: {error}",
                f"its plan (seed {self._seed}; the job was armed with {armed or 'nothing'}):",
                *(f"  {action}" for action in actions),
                "what happened:",
                *(f"  {event}" for event in self._events),
                f"this loop again:    {command} --loops 1 --seed {self._seed} --fault '{armed}'",
                f"the run up to here: {command} --loops {number} --seed {self._seed - number + 1}",
            ]
        )

    def _act(self, actions: list[Action]) -> None:
        thread = self._work.write()
        try:
            for action in actions:
                self._wait_seconds(action.after)
                self.tally.actions[action.kind] += 1
                self._actions.do(action)
            self._wait_seconds(_LAST_WRITES_SECONDS)
        finally:
            self._work.stop_writing()
        self._wait_until(lambda: not thread.is_alive(), _SETTLE_SECONDS, "the last write")

    def _settle(self) -> float:
        """Wait until the job has done everything, judge, and return how long it took."""
        began = time.monotonic()
        self._actions.wait_for_commands()
        self._work.mark()
        self._wait_until(self._work.caught_up, _SETTLE_SECONDS, "the job to catch up", self._batches_done)
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
                if self._work.streams or time.monotonic() > end:
                    raise
            else:
                return
            self._wait_seconds(_TICK_SECONDS * 10)

    def _end(self) -> None:
        """The orderly end."""
        self._wait_until(lambda: self._supervisor.running, _SETTLE_SECONDS, "the job to run")
        self._say("stopping the job")
        self._supervisor.terminate()
        self._work.check_end()

    # --- looking after it -------------------------------------------------------------------------

    def _arm(self) -> str:
        fault = draw_fault(self._seed, self._starts, self._work.steps)
        if self._first_fault is not None:
            fault, self._first_fault = self._first_fault, None
        self._starts += 1
        return fault

    def _died(self, how: str) -> None:
        self._event(how)
        self.tally.deaths[how] += 1
        # The server can be asked only while nothing is wrong with it.
        if not self._actions.disturbing and self._work.check_crash_state():
            self.tally.crash_states_checked += 1

    def _tick(self) -> None:
        self._supervisor.tick()
        with suppress(*_AWAY):
            self.tally.claims_seen += self._work.watch()

    def _wait_seconds(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._tick()
            time.sleep(_TICK_SECONDS)

    def _wait_until(
        self, condition: Callable[[], bool], seconds: float, what: str, done: Callable[[], int] = int
    ) -> None:
        """Fail when for so long `condition` did not hold and no more was `done`."""
        end, before = time.monotonic() + seconds, done()
        while not condition():
            if time.monotonic() > end:
                now = done()
                assert now > before, f"waited {seconds:g} s for {what}"
                end, before = time.monotonic() + seconds, now
            self._tick()
            time.sleep(_TICK_SECONDS)

    def _batches_done(self) -> int:
        """A lost checkpoint lets all of them come again, in a long run hundreds."""
        counts = batches_of(self._work.data)
        return counts.total() - counts["failed"]

    def _event(self, text: str) -> None:
        self._events.append(f"{time.monotonic() - self._began:.1f} s {text}")
