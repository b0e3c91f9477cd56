"""What happens to a test on a machine that lacks a server or a program the test needs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn

import pytest

IN_CI = os.environ.get("CI") == "true"


def missing(message: str) -> NoReturn:
    """Fail in CI, where nothing may be left out, and skip elsewhere; `message` says what is missing."""
    if IN_CI:
        pytest.fail(message)
    pytest.skip(message)


def not_run(skipped: Iterable[pytest.TestReport | pytest.CollectReport]) -> str:
    """A line that says how many tests were skipped and what they lacked; empty when none was."""
    reasons = Counter(str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple))
    if not reasons:
        return ""
    lacked = [f"{reason.removeprefix('Skipped: ')} ({count})" for reason, count in reasons.most_common()]
    return f"not run: {sum(reasons.values())} tests, because: {'; '.join(lacked)}"
