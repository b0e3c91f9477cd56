"""The order of what a pass of the health pipeline does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from pipelines.engine.stop_flag import StopFlag
from pipelines.health.job import HealthPipeline

NOW = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize("polled", [True, False])
def test_the_first_poll_comes_before_the_letters(polled: bool) -> None:
    """However many wait. The probes know of the poll before, and what it has stored waits for the next retry.
    Only after a whole poll source and results are compared.

    Letters are tried also where a batch fails, since another one may be its cause.
    """
    calls: list[str] = []
    drained = NOW if polled else None
    state = SimpleNamespace(begin=lambda: calls.append("begin"), end=lambda done: calls.append(f"end {done}"))

    def drain(_stop: StopFlag, _since: datetime | None) -> datetime | None:
        calls.append("drain")
        return drained

    def retry(_stop: StopFlag, stored_before: datetime | None, between: Callable[[], object]) -> None:
        assert stored_before == drained
        calls.append("letters")
        between()

    job: Any = SimpleNamespace(
        reporting=Mock(state=state),
        batch=SimpleNamespace(drain=drain, poll=Mock()),
        letters=SimpleNamespace(run_due=retry),
        reconciliation=SimpleNamespace(run_due=lambda _stop: calls.append("reconciliation")),
        **{name: Mock() for name in ("indexes", "clocks", "poll_metrics")},
    )
    job._poll = lambda stop, since=None: HealthPipeline._poll(job, stop, since)
    done = HealthPipeline.once(cast(HealthPipeline, job), StopFlag(), None, lambda: calls.append("between"))
    assert done is polled
    assert calls == [
        "begin",
        "drain",
        f"end {polled}",
        "letters",
        "between",
        *(["reconciliation"] if polled else []),
    ]
