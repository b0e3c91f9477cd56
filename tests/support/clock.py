"""A monotonic clock that only the test moves."""

from __future__ import annotations

from types import ModuleType

import pytest


class Clock:
    """Stands for the module `time` in `modules`, which use no more of it than `monotonic`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        self.seconds = 0.0
        for module in modules:
            monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        """The seconds that the test has set."""
        return self.seconds
