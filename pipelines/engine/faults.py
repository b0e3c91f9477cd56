"""Named points at which a test can harm the process: `FAULT=step:kill|stop|raise|sleep:n`.

`n` is the occurrence that is hit (kill, raise, stop: until SIGCONT; default 1) or the seconds of a sleep.
Off unless set.
`FAULT=compute:kill|raise:user=ID` strikes whenever that user is among those who are to be computed.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence

from contracts import ConfigurationError


class InjectedFaultError(Exception):
    """Raised by a `raise` fault."""


class Faults:
    """Counts how often each named step is passed and strikes at the chosen one."""

    def __init__(self, spec: str = "") -> None:
        self._passed: Counter[str] = Counter()
        spec, _, self._user = spec.partition(":user=")
        self._step, self._action, self._number = _parse(spec)

    def reach(self, step: str) -> None:
        """Pass the named point; does nothing unless the fault is meant for it."""
        if step != self._step or self._user:
            return
        self._passed[step] += 1
        if self._action == "sleep":
            time.sleep(self._number)
        elif self._passed[step] == int(self._number):
            self._strike()

    def about_to_compute(self, users: Sequence[object]) -> None:
        """Strike if the fault is meant for one of `users`, each time."""
        if self._user and self._user in map(str, users):
            self._strike()

    def _strike(self) -> None:
        if self._action == "kill":
            # On Windows every number but Ctrl+C's ends a process at once.
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        if self._action == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            return
        raise InjectedFaultError(f"injected fault at {self._step}")


def _parse(spec: str) -> tuple[str, str, float]:
    if not spec:
        return "", "", 0.0
    step, _, rest = spec.partition(":")
    action, _, number = rest.partition(":")
    try:
        value = float(number or 1)
    except ValueError:
        value = -1.0
    if action not in ("kill", "stop", "raise", "sleep") or value < 0:
        raise ConfigurationError(f"FAULT={spec} is not step:kill|stop|raise|sleep[:n].")
    if action == "stop" and not hasattr(signal, "SIGSTOP"):
        raise ConfigurationError(f"FAULT={spec}: nothing stops a process here and lets it go on.")
    return step, action, value
