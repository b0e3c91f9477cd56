"""Keeps the job running as systemd would, and judges how each of its lives ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from commands.common import STOPPED
from tests.support.job import Job, child_jvm, runs

_JVM_SECONDS = 30.0
_PAUSE_SECONDS = 0.3
_TAIL_LINES = 30
# What a job says once it waits for signals itself.
_LISTENS = "press Ctrl+C to stop"


class Supervisor:
    """Call `tick` often: it notices an end, tells `on_death`, and starts the job again.

    `arguments` are the command's. `arm` gives the FAULT of the next life; `excused` says whether a start
    since that monotonic time may have been refused because the servers were away.
    """

    def __init__(
        self,
        job: Job,
        arguments: Sequence[str],
        arm: Callable[[], str],
        excused: Callable[[float], bool],
        on_death: Callable[[str], None],
    ) -> None:
        self._job = job
        self._arguments = arguments
        self._arm = arm
        self._excused = excused
        self._on_death = on_death
        self._process: subprocess.Popen[str] | None = None
        self._began = 0.0
        self._fault = ""
        self._killed = ""
        self._start_at = 0.0
        self._has_started, self._before = False, 0
        self._jvm_must_end: tuple[int, float] | None = None

    def start(self) -> None:
        """Start the job, armed."""
        self._fault = self._arm()
        self._killed = ""
        self._began = time.monotonic()
        self._before = len(self._job.output()) if self._has_started else 0
        self._has_started = True
        self._process = self._job.start(*self._arguments, FAULT=self._fault)

    def tick(self) -> None:
        """Look after the job once. Raises AssertionError when it ended as it must not."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self.start()
            return
        if self._process.poll() is not None:
            how = self._judge(self._process.returncode)
            self._process = None
            self._jvm_must_end = None
            self._start_at = time.monotonic() + _PAUSE_SECONDS
            self._on_death(how)
        elif self._jvm_must_end and time.monotonic() > self._jvm_must_end[1]:
            raise AssertionError(f"the job lives on {_JVM_SECONDS:g} s after its JVM was killed")

    def kill(self) -> None:
        """kill -9 of the job."""
        if self._process is not None:
            self._killed = "killed"
            self._process.kill()

    def kill_jvm(self) -> bool:
        """kill -9 of the JVM alone, as when memory is short; False when there is none yet."""
        jvm = None if self._process is None else child_jvm(self._process.pid)
        if jvm is None:
            return False
        self._killed = "JVM killed"
        self._jvm_must_end = (jvm, time.monotonic() + _JVM_SECONDS)
        os.kill(jvm, signal.SIGKILL)
        return True

    def close(self) -> None:
        """End the job for good."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def terminate(self) -> None:
        """SIGTERM, as an orderly stop. Raises AssertionError when it ends in another way."""
        if self._process is not None:
            process, self._process, self._jvm_must_end = self._process, None, None
            # Before that a stop ends it at once.
            listened = _LISTENS in self._job.output()[self._before :]
            code = self._job.stop(process)
            # It may have been armed to die of something else first.
            well = (0, -signal.SIGKILL, *(() if listened else (STOPPED, -signal.SIGTERM)))
            assert code in well, f"SIGTERM ended the job with {code}:\n{self._tail()}"

    def stop(self) -> None:
        """As `terminate`; whatever it ends of, nothing of it runs, and the next `tick` starts it again."""
        jvm = None if self._process is None else child_jvm(self._process.pid)
        excused = self._process is None or bool(self._killed) or self._excused(self._began)
        try:
            self.terminate()
        except AssertionError:
            if not excused:
                raise
        end = time.monotonic() + _JVM_SECONDS
        while jvm is not None and runs(jvm):
            assert time.monotonic() < end, f"the JVM lives on {_JVM_SECONDS:g} s after its job"
            time.sleep(_PAUSE_SECONDS)
        self._start_at = 0.0

    @property
    def running(self) -> bool:
        """Whether a life is under way."""
        return self._process is not None

    @property
    def fault(self) -> str:
        """How the present life is armed."""
        return self._fault

    def _judge(self, code: int) -> str:
        if self._killed:
            return self._killed
        if code == -signal.SIGKILL and ":kill:" in self._fault:
            return f"killed at {self._fault.split(':')[0]}"
        if code == 2 and self._excused(self._began):
            return "refused to start without its server"
        raise AssertionError(f"the job ended with exit code {code}:\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join(self._job.output().splitlines()[-_TAIL_LINES:])
