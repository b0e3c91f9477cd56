"""Home: full, empty, stale, down, hanging, starting; what is not set up; bounded and never broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import navigation
from dashboard.background import Simulation
from dashboard.home import overall
from dashboard.lookout import Lookout
from dashboard.page import Room
from tests.support.rooms import judged, room
from tests.support.shown import HOSTILE, show, texts
from tests.support.waiting import wait_for

_FINE = judged(5, "All 61 people up to date.")


def _home(*rooms: Room) -> AppTest:
    page = show(navigation.run, Lookout(rooms))
    assert not page.exception
    return page


def _first_line(page: AppTest) -> str:
    return str(page.markdown[0].value)


def test_its_first_line_answers_and_each_pipeline_has_its_verdict() -> None:
    """The sentence of its own, the pill, the age of the newest result, and links to its pages."""
    page = _home(room("Health", _FINE), room("Stock", judged(7_200, "412 sales.", looked=2)))
    shown = texts(page).replace("\xa0", " ")
    assert page.title[0].value == "Pulse"
    assert _first_line(page) == "**All 2 pipelines work.**"
    assert "All 61 people up to date." in shown
    assert ":green-badge[:material/check_circle: running] Newest data **5 s ago**" in shown
    assert ":blue-badge[:material/hourglass_empty: waiting]" in shown
    assert ":red-badge[:material/error: 2 h ago]" in shown
    assert [link.proto.label for link in page.get("page_link")] == ["Health page", "Stock page"]


@pytest.mark.parametrize(
    ("rooms", "line", "told"),
    [
        # Empty.
        (
            [room("Health", judged(None))],
            "**Look at Health (not started).**",
            "It has left no result, log or metrics yet.",
        ),
        # The server is away, and nothing was read before.
        (
            [room("Health", judged(None, fault="MongoDB does not answer.")), room("Stock", _FINE)],
            "**Look at Health (unknown).** One pipeline works.",
            "MongoDB does not answer",
        ),
        # The service is dead.
        (
            [
                room("Health", judged(400, "61 people.", looked=400)),
                room("Stock", _FINE),
                room("Shop", _FINE),
            ],
            "**Look at Health (stale).** 2 pipelines work.",
            ":orange-badge[:material/warning: stale]",
        ),
        (
            [room("Health", judged(90_000, "61 people.", looked=90_000))],
            "**Look at Health (stopped).**",
            ":red-badge[:material/cancel: stopped]",
        ),
        ([room("Health", _FINE)], "**The pipeline works.**", "All 61 people"),
    ],
    ids=["empty", "down", "stale", "stopped", "full"],
)
def test_what_does_not_work_is_named_first(rooms: Sequence[Room], line: str, told: str) -> None:
    """With its state, and why in the card."""
    page = _home(*rooms)
    assert _first_line(page) == line
    assert told in texts(page).replace("\\", "")


def test_a_pipeline_that_is_not_set_up_is_not_shown() -> None:
    """Neither its card nor its links, until it has left something; without any that is, all are shown."""
    other = room("Stock", judged(None), is_set=False)
    page = _home(room("Health", _FINE), other)
    assert [link.proto.label for link in page.get("page_link")] == ["Health page"]
    assert "Stock" not in texts(page)
    lookout = Lookout([room("Health", _FINE), room("Stock", _FINE, is_set=False)])
    show(navigation.run, lookout)
    wait_for(lambda: all(map(lookout.is_shown, lookout.rooms)), "the answer of one with data")
    alone = _home(other)
    assert [link.proto.label for link in alone.get("page_link")] == ["Stock page"]
    assert _first_line(alone).startswith("**Nothing is set up here yet.**")


def test_a_server_that_hangs_or_a_fault_of_ours_costs_one_card_and_little_time() -> None:
    """The others are there; one that has answered before keeps its last word."""
    release = threading.Event()

    def hangs(*_: object) -> object:
        release.wait(60)
        raise AssertionError

    def breaks(*_: object) -> object:
        raise KeyError("a fault of ours")

    rooms = [room("Health", _FINE), room("Stock", hangs), room("Shop", breaks)]  # type: ignore[arg-type]
    began = time.monotonic()
    try:
        page = _home(*rooms)
        assert time.monotonic() - began < 30
        shown = texts(page).replace("\\", "")
        assert "All 61 people up to date." in shown
        assert "It has not answered yet." in shown
        assert "Its results cannot be read; the console says why." in shown
        assert "a fault of ours" not in shown
    finally:
        release.set()


def test_one_question_at_a_time_waits_for_a_server_that_hangs() -> None:
    """However many pages look meanwhile; afterwards it is asked again."""
    asked, release = [], threading.Event()
    fine = _FINE

    def slow(*given: object) -> object:
        asked.append(given)
        release.wait(60)
        return fine(*given)  # type: ignore[arg-type]

    stock = room("Stock", slow)  # type: ignore[arg-type]
    lookout = Lookout([stock])
    for _ in range(3):
        assert lookout.of(stock, 0.01).verdict is None
    assert len(asked) == 1
    release.set()
    assert lookout.of(stock, 60).state == "running"
    lookout.of(stock, 60)
    assert len(asked) == 2


def test_what_comes_from_elsewhere_stays_text() -> None:
    """A fault may quote what a server said."""
    page = _home(room("Health", judged(None, fault=HOSTILE)))
    assert HOSTILE not in texts(page)
    assert "<img" not in texts(page).replace("\\<img", "")


def _ends(_tell: object, show: Callable[[], None]) -> None:
    show()
    threading.Event().wait()


def test_simulations_that_start_say_what_they_do() -> None:
    """On Home, and on their pages, which open by themselves; one that failed says why."""
    waiting, shown, failed = Simulation(_ends), Simulation(_ends), Simulation(_ends)
    shown.start()
    shown.settle()
    failed.fault = "PostgreSQL was not found."
    health, stock = room("Health", _FINE, simulation=shown), room("Stock", _FINE, simulation=waiting)
    page = _home(health, stock)
    assert _first_line(page) == "**One pipeline works.** Stock: starting."
    assert "The simulation is starting" in texts(page)
    assert "It waits for its turn" in texts(page)
    page = _home(room("Health", _FINE, simulation=failed))
    assert "PostgreSQL was not found" in texts(page)
    assert _first_line(page) == "**Look at Health (failed).**"
    lookout = Lookout([room("Stock", _FINE, simulation=waiting)])
    assert overall(lookout.rooms, {}) == "**The simulations start, one after the other.**"
