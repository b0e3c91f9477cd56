"""Named points at which a test can kill the process, raise or wait: `FAULT=step:kill|raise|sleep:n`.

`n` is the occurrence that is hit (kill, raise; default 1) or the seconds to wait (sleep). Off unless set.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

from contracts import ConfigurationError


class InjectedFaultError(Exception):
    """Raised by a `raise` fault."""


class Faults:
    """Counts how often each named step is passed and strikes at the chosen one."""

    def __init__(self, spec: str = "") -> None:
        self._passed: Counter[str] = Counter()
        self._step, self._action, self._number = _parse(spec)

    def reach(self, step: str) -> None:
        """Pass the named point; does nothing unless the fault is meant for it."""
        if step != self._step:
            return
        self._passed[step] += 1
        if self._action == "sleep":
            time.sleep(self._number)
        elif self._passed[step] == int(self._number):
            if self._action == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise InjectedFaultError(f"injected fault at {step}")


def _parse(spec: str) -> tuple[str, str, float]:
    if not spec:
        return "", "", 0.0
    step, _, rest = spec.partition(":")
    action, _, number = rest.partition(":")
    try:
        value = float(number or 1)
    except ValueError:
        value = -1.0
    if action not in ("kill", "raise", "sleep") or value < 0:
        raise ConfigurationError(f"FAULT={spec} is not step:kill|raise|sleep[:n].")
    return step, action, value
