"""What the order of a batch does when a server is away for a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from contracts import UnavailableError
from pipelines.engine import steps as steps_module
from pipelines.engine.faults import Faults
from pipelines.engine.stream_batch import StreamBatch, Taken
from retry import RetryPolicy
from tests.support.clock import Clock


class _AwayError(Exception):
    pass


def _batch(fails: int) -> tuple[StreamBatch[Any, Any], MagicMock]:
    """A batch that was committed before, and whose next `fails` tries to let readers see it fail."""
    work = MagicMock()
    work.known.return_value = Taken(written=1)
    work.is_transient = lambda error: isinstance(error, _AwayError)
    work.follow.side_effect = [_AwayError()] * fails + [None]
    retry = RetryPolicy(attempts=3, base_seconds=0.001, max_seconds=0.001)
    return StreamBatch("lines", work, MagicMock(), retry, Faults()), work


def _frame() -> Any:
    context = SimpleNamespace(getLocalProperty=lambda _name: "query")
    return SimpleNamespace(sparkSession=SimpleNamespace(sparkContext=context))


def test_what_follows_a_batch_is_tried_again_without_the_batch() -> None:
    """The batch is safe by then: it neither fails nor begins anew, and is reported once."""
    batch, work = _batch(fails=2)
    batch.process(_frame(), 7)
    assert (work.known.call_count, work.follow.call_count, work.mark_reported.call_count) == (1, 3, 1)
    assert batch.reporting.report.call_count == 1  # type: ignore[attr-defined]


def test_a_server_that_stays_away_lets_the_batch_come_again() -> None:
    """And no line mentions it before."""
    batch, work = _batch(fails=3)
    with pytest.raises(UnavailableError):
        batch.process(_frame(), 7)
    assert work.mark_reported.call_count == 0
    assert batch.reporting.report.call_count == 0  # type: ignore[attr-defined]


def test_the_steps_of_a_batch_add_up_also_with_what_is_tidied_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Staged rows are dropped after the commit, and a try that failed is of the step in which it failed."""
    batch, work = _batch(fails=0)
    batch.reporting.steps = ("read", "stage", "dead_letters", "commit", "report")
    clock = Clock(monkeypatch, steps_module)

    @contextmanager
    def prepare(_rows: Any, _key: Any, steps: steps_module.Steps) -> Iterator[Any]:
        clock.seconds += 2
        steps.done("stage")
        yield SimpleNamespace(refused=list, commit=commit)
        clock.seconds += 7

    def commit(_keep: Any, steps: steps_module.Steps) -> Taken:
        clock.seconds += 4
        if work.prepare.call_count == 1:
            raise _AwayError
        steps.done("commit")
        return Taken(written=1)

    work.known.return_value = None
    work.prepare = MagicMock(side_effect=prepare)
    batch.process(_frame(), 7)
    (_, report), _ = batch.reporting.report.call_args  # type: ignore[attr-defined]
    assert report.steps_ms == {"read": 0, "stage": 4000, "dead_letters": 0, "commit": 15_000}
    assert report.processing_time_ms == sum(report.steps_ms.values())
