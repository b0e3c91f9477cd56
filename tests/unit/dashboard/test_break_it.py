"""The page of the demo where the pipeline is struck: its account adds up in words, numbers and marks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import ENDS
from contracts.striking import Blow, Look
from dashboard.background import Simulation
from dashboard.break_it import account, flow, render, verdict
from dashboard.page import Room
from tests.support.rooms import judged, room
from tests.support.shown import show, texts

_NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
_SENT = {"written": 200, "duplicate": 10, "refused": 2}


def _look(found: dict[str, int] | None = None, **fields: Any) -> Look:
    known: dict[str, Any] = {
        "store": "PostgreSQL",
        "sent": _SENT,
        "found": found,
        "rows": (found or {}).get("written", 0),
        "due": (found or {}).get("written", 0),
        "rows_are": "units sold",
        "starts": 1,
        "is_wanted": True,
        "is_alive": True,
        "store_is_up": True,
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
        (None, 0, "PostgreSQL has not answered yet."),
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
    assert "write: 200 units sold" in flow(_look(_SENT)).replace("\xa0", " ")
    killed = flow(_look(_SENT, is_alive=False)).split(" → ")
    assert [place.startswith(":red") for place in killed] == [False, True, True, False, True]
    away = flow(_look(_SENT, store_is_up=False)).split(" → ")
    assert [place.startswith(":red") for place in away] == [False, False, False, True, True]


class _Rig:
    """Notes what is done to it; shows one after the other of `looks`, the last one again and again."""

    def __init__(self, *looks: Look) -> None:
        self.did: list[object] = []
        self._looks = looks
        self.strikes = {"Kill the pipeline (kill -9)": lambda: self.did.append("killed")}

    def look(self) -> Look:
        return self._looks[min(len(self.did), len(self._looks) - 1)]

    def begin(self) -> None:
        self.did.append("begin")

    def pause(self, is_paused: bool) -> None:
        self.did.append(is_paused)


def _room(title: str, rig: _Rig | str, **fields: Any) -> Room:
    return replace(room(title, judged(5)), rig=rig, **fields)


def test_what_is_struck_is_struck_once_and_listed() -> None:
    """Buttons appear once it is a process of its own; a blow says when all before it was accounted for."""
    blows = [Blow(_NOW, "kill -9 of the pipeline", 12.4), Blow(_NOW, "50 records that break a rule", None)]
    rig = _Rig(_look(_SENT, starts=0, is_wanted=False), _look(_SENT, blows=blows))
    page = show(render, [_room("Shop", rig)])
    assert [button.label for button in page.button] == ["Begin"]
    page.button[0].click().run()
    assert [button.label for button in page.button] == ["Kill the pipeline (kill -9)"]
    page.button[0].click().run()
    page.toggle[0].set_value(False).run()
    assert rig.did == ["begin", "killed", True]
    assert not page.exception
    assert len(page.title) == 1
    struck = page.table[-1].value.to_numpy().tolist()
    assert [row[-1].replace("\xa0", " ") for row in struck] == ["not yet", "after 12 s"]
    assert "exactly once" in texts(page)


def test_between_the_dashboard_and_its_own_process_there_is_nothing_to_press() -> None:
    """A second Begin would do nothing, and nothing is there to kill."""
    page = show(render, [_room("Shop", _Rig(_look(_SENT, starts=0)))])
    assert [button.label for button in page.button] == []
    assert "finishes its batch" in texts(page)


def test_the_page_lists_the_pipelines_and_strikes_the_chosen_one() -> None:
    """One that cannot be struck says why; one that starts says so; what is pressed is of the one shown."""
    shop, games = (_Rig(_look(_SENT, store=store)) for store in ("PostgreSQL", "Parquet"))
    starts = _room("Slow", _Rig(_look(_SENT)), simulation=Simulation(lambda *_: None))
    rooms = [_room("Store", "It has **no** server."), _room("Shop", shop), _room("Games", games), starts]
    page = show(render, rooms)
    (choice,) = page.segmented_control
    assert choice.options == ["Store", "Shop", "Games", "Slow"]
    # One that can be struck is chosen at first.
    assert "In PostgreSQL" in page.table[0].value.columns
    choice.set_value("Games").run()
    assert "In Parquet" in page.table[0].value.columns
    page.button[0].click().run()
    assert (shop.did, games.did) == ([], ["killed"])
    page.segmented_control[0].set_value("Store").run()
    assert [info.value for info in page.info] == ["It has **no** server."]
    page.segmented_control[0].set_value("Slow").run()
    assert "The simulation is starting. It waits for its turn" in texts(page)
    assert [len(page.button), len(page.title)] == [0, 1]
    assert not page.exception


def test_a_sender_that_pauses_pauses_alone() -> None:
    """The switch of one pipeline is not that of another."""
    shop, games = _Rig(_look(_SENT)), _Rig(_look(_SENT))
    page = show(render, [_room("Shop", shop), _room("Games", games)])
    page.toggle[0].set_value(False).run()
    page.segmented_control[0].set_value("Games").run()
    assert page.toggle[0].value is True
    assert (shop.did, games.did) == ([True], [])
