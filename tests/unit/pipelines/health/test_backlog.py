"""What waits behind a page is counted seldom, and told with each page."""

from __future__ import annotations

from datetime import datetime, timezone

import bson
import pytest

from pipelines.health.backlog import Backlog
from sources.health.poll_page import Changed, PollPage

_NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


def _page(documents: int, complete: bool = False) -> PollPage:
    changed = [Changed(bson.encode({"_id": number, "updatedAt": _NOW})) for number in range(documents)]
    return PollPage((), changed, complete=complete)


def test_what_waits_is_counted_once_in_a_while_and_exact_with_each_page() -> None:
    """To count takes as long as to read a page."""
    backlog, counts = Backlog(), iter([70])
    told = [backlog.after(_page(number), lambda: next(counts)) for number in (30, 20, 10, 25)]
    assert told == [70, 50, 40, 15]
    assert backlog.after(_page(15, complete=True), lambda: next(counts)) == 0


@pytest.mark.parametrize("first", [None, 5])
def test_it_is_counted_again_after_a_while(first: int | None) -> None:
    """More may have come, or the first count took too long; it is never below zero."""
    backlog = Backlog(every_seconds=0.0)
    assert backlog.after(_page(1), lambda: first) == first
    assert backlog.after(_page(1), lambda: 90) == 90
    seldom = Backlog()
    assert seldom.after(_page(1), lambda: first) == first
    assert seldom.after(_page(9), lambda: 90) == (None if first is None else 0)
