"""What the tests of the pages share."""

from __future__ import annotations

import sys

import pytest

from dashboard.data import remembered
from tests.support.clock import Clock


@pytest.fixture(autouse=True)
def keep_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves its script as `__main__`, which processes that other tests spawn would then run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Says when what a page remembers is read anew."""
    return Clock(monkeypatch, remembered)
