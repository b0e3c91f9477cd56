"""Keeps the job running as systemd would, and judges how each of its lives ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

from tests.support.job import HealthJob, child_jvm

_JVM_SECONDS = 30.0
_PAUSE_SECONDS = 0.3
_TAIL_LINES = 30


class Supervisor:
    """Call `tick` often: it notices an end, tells `on_death`, and starts the job again.

    `arm` gives the FAULT of the next life; `excused` says whether a start since that monotonic time may have
    been refused because the servers were away.
    """

    def __init__(
        self,
        job: HealthJob,
        arm: Callable[[], str],
        excused: Callable[[float], bool],
        on_death: Callable[[str], None],
    ) -> None:
        self._job = job
        self._arm = arm
        self._excused = excused
        self._on_death = on_death
        self._process: subprocess.Popen[str] | None = None
        self._began = 0.0
        self._fault = ""
        self._killed = ""
        self._start_at = 0.0
        self._jvm_must_end: tuple[int, float] | None = None

    def start(self) -> None:
        """Start the job, armed."""
        self._fault = self._arm()
        self._killed = ""
        self._began = time.monotonic()
        self._process = self._job.start(FAULT=self._fault)

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

    def terminate(self) -> int:
        """SIGTERM, as an orderly stop; the exit code. Needs a running job."""
        assert self._process is not None
        process, self._process = self._process, None
        return self._job.stop(process)

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
        tail = "\n".join(self._job.output().splitlines()[-_TAIL_LINES:])
        raise AssertionError(f"the job ended with exit code {code}:\n{tail}")
