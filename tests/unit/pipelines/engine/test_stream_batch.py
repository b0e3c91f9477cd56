"""What the order of a batch does when a server is away for a moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from contracts import UnavailableError
from pipelines.engine.faults import Faults
from pipelines.engine.stream_batch import StreamBatch, Taken
from retry import RetryPolicy


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
