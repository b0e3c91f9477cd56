"""What happens to a test on a machine that lacks a server or a program the test needs."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

IN_CI = os.environ.get("CI") == "true"


def missing(message: str) -> NoReturn:
    """Fail in CI, where nothing may be left out, and skip elsewhere; `message` says what is missing."""
    if IN_CI:
        pytest.fail(message)
    pytest.skip(message)
