"""What the tests of the pages share."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def keep_main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves its script as `__main__`, which processes that other tests spawn would then run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
