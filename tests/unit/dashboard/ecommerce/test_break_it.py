"""The page of the demo where the pipeline is struck: its account adds up in words, numbers and marks."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import ENDS
from dashboard.ecommerce.break_it import Blow, BreakIt, Look, account, flow, render, verdict
from tests.support.shown import show, texts

_NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
_SENT = {"written": 200, "duplicate": 10, "refused": 2}


def _look(found: dict[str, int] | None = None, **fields: Any) -> Look:
    known: dict[str, Any] = {
        "sent": _SENT,
        "found": found,
        "rows": (found or {}).get("written", 0),
        "starts": 1,
        "is_alive": True,
        "database_is_up": True,
        "is_paused": False,
        "blows": [],
    }
    return Look(**{**known, **fields})


@pytest.mark.parametrize(
    ("found", "rows", "line"),
    [
        (_SENT, 200, "**✓ Each record that was sent is accounted for, exactly once.**"),
        ({**_SENT, "refused": 1}, 200, "**No record is lost or doubled; 1 record is on the way.**"),
        ({**_SENT, "written": 100}, 100, "**No record is lost or doubled; 100 records are on the way.**"),
        # Doubled: more than was sent of its kind, also where the sum is right.
        ({"written": 201, "duplicate": 9, "refused": 2}, 201, "**✗ The account does not add up.**"),
        # Lost: the ledger says that it was written, and the table does not have it.
        (_SENT, 199, "**✗ The account does not add up.**"),
        (None, 0, "The database has not answered yet."),
    ],
)
def test_the_first_line_says_whether_the_account_adds_up(
    found: dict[str, int] | None, rows: int, line: str
) -> None:
    """It cries at one record too many or too few in the table, and at nothing else."""
    assert verdict(_look(found, rows=rows)).startswith(line)


@given(st.lists(st.integers(0, 10**6), min_size=6, max_size=6))
def test_the_parts_of_the_account_are_what_was_sent(numbers: list[int]) -> None:
    """Whatever they are, each of the five ends is there."""
    done, more = dict(zip(_SENT, numbers, strict=False)), numbers[3:]
    sent = {end: count + later for (end, count), later in zip(done.items(), more, strict=True)}
    line = account(_look(done, sent=sent)).replace("\xa0", " ").replace(",", "").replace("**", "")
    whole, _, parts = line.partition(" sent = ")
    counts = [int(part.split(" ", 1)[0]) for part in parts.split(" + ")]
    assert int(whole) == sum(counts) == sum(numbers)
    assert [part.split(" ", 1)[1] for part in parts.split(" + ")] == [
        *(end.replace("_", " ") for end in ENDS),
        "on the way",
    ]


def test_the_flow_shows_what_is_dead() -> None:
    """A killed process reads and computes nothing, a database that is away takes nothing."""
    assert ":red-badge" not in flow(_look(_SENT))
    killed = flow(_look(_SENT, is_alive=False)).split(" → ")
    assert [place.startswith(":red") for place in killed] == [False, True, True, False, True]
    away = flow(_look(_SENT, database_is_up=False)).split(" → ")
    assert [place.startswith(":red") for place in away] == [False, False, False, True, True]


def test_what_is_struck_is_struck_once_and_listed() -> None:
    """Buttons appear once it is a process of its own; a blow says when all before it was accounted for."""
    did: list[object] = []
    blows = [Blow(_NOW, "kill -9 of the pipeline", 12.4), Blow(_NOW, "50 records that break a rule", None)]
    looks = [_look(_SENT, starts=0), _look(_SENT, blows=blows)]
    data = BreakIt(
        lambda: looks[bool(did)],
        lambda: did.append("begin"),
        did.append,
        {"Kill the pipeline (kill -9)": lambda: did.append("killed")},
    )
    page = show(render, data)
    assert [button.label for button in page.button] == ["Begin"]
    page.button[0].click().run()
    assert [button.label for button in page.button] == ["Kill the pipeline (kill -9)"]
    page.button[0].click().run()
    page.toggle[0].set_value(False).run()
    assert did == ["begin", "killed", True]
    assert not page.exception
    assert len(page.title) == 1
    struck = page.table[-1].value.to_numpy().tolist()
    assert [row[-1].replace("\xa0", " ") for row in struck] == ["not yet", "after 12 s"]
    assert "exactly once" in texts(page)
